"""Losses of single examples, and the Gram matrices of the anti-transfer loss."""

from serjax.losses.per_example import (
    AGGREGATIONS,
    anti_transfer_loss,
    binary_cross_entropy,
    cross_entropy,
    emotion_loss,
)
from serjax.losses.registry import get, names, register

__all__ = [
    "AGGREGATIONS",
    "anti_transfer_loss",
    "binary_cross_entropy",
    "cross_entropy",
    "emotion_loss",
    "get",
    "names",
    "register",
]
