"""Figures of runs, corpora and benchmarks, as PNG and PDF files."""
