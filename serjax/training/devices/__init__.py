"""Devices of a run: batch sharding, processes, steps of one call, memory, compiled programs."""
