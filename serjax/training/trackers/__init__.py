"""Trackers of a run: progress on the console, TensorBoard, profiles."""
