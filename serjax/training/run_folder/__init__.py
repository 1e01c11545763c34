"""Run folders: metadata, checkpoints, result files, and the trained model that they hold."""
