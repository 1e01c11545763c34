"""Files of a run folder: their formats, and how they are read and written."""
