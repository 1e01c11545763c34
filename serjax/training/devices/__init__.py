"""Devices of a run: batch sharding, processes, multi-step calls, memory, compilation cache."""
