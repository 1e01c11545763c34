"""Benchmarks of time and memory: `python benchmarks/run.py`."""
