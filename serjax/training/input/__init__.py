"""Input of a run: its dataset, the sampler, and batches in memory or streamed."""
