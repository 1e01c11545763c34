"""Corpora stored as TFDS datasets, and the streaming of batches from them.

A corpus is stored by `serjax.data.build` and opened by `serjax.data.open_stored`.
"""
