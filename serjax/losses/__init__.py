"""Losses per example: classification, RH-emo and anti-transfer; and a registry of users' own.

A loss has the shape `[batch]`; the caller averages. `register` adds a classification loss by name.
"""

from serjax.losses.anti_transfer import AGGREGATIONS, anti_transfer_loss
from serjax.losses.classification import (
    binary_cross_entropy,
    cross_entropy,
    emotion_loss,
    negative_log_likelihood,
)
from serjax.losses.registry import ClassificationLoss, get, names, register

__all__ = [
    "AGGREGATIONS",
    "ClassificationLoss",
    "anti_transfer_loss",
    "binary_cross_entropy",
    "cross_entropy",
    "emotion_loss",
    "get",
    "names",
    "negative_log_likelihood",
    "register",
]
