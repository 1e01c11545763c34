"""Files of a run folder: its directory, metadata, checkpoints, results; trained runs."""
