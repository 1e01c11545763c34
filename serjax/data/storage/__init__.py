"""Corpora stored as TFDS datasets, and waveforms that are read when a batch needs them."""
