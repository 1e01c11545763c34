"""Anti-transfer learning: the auxiliary loss, source-task networks, and sweeps (Guizzo et al.)."""
