"""Losses, one number per example; the caller averages."""

import numpy as np


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of class probabilities, on the host.

    Args:
        probabilities: `[examples, classes]`, floating.
        labels: `[examples]`, integer.

    Returns:
        float64 `[examples]` in nats. A probability that float32 rounded to 0 counts as its
        smallest normal number, so the loss is at most 87.3.
    """
    of_true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(of_true, np.finfo(np.float32).tiny))
