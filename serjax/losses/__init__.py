"""Losses of single examples, and the Gram matrices of the anti-transfer loss."""

from serjax.losses.per_example import (
    AGGREGATIONS,
    anti_transfer_loss,
    binary_cross_entropy,
    cross_entropy,
    emotion_loss,
)

__all__ = [
    "AGGREGATIONS",
    "anti_transfer_loss",
    "binary_cross_entropy",
    "cross_entropy",
    "emotion_loss",
]
