"""Loss functions of a training step and prediction functions of evaluation.

A step minimizes any loss function, so every task is trained by the same step.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

from serjax import losses


class Batch(NamedTuple):
    """Examples of a training step, ready for the model.

    Attributes:
        x: `[batch, frames, bins, channels]` float32, model input.
        mask: `[batch, frames]` bool, True at valid frames.
        label: `[batch]` int32, class of each example.
        weight: `[batch]` float32, 1 for an example and 0 for padding of the batch.
        utterance: `[batch]` int32, index of the utterance that the example is a segment of.
        indices: `[batch]` int32, index of the example; -1 for padding of the batch.
        step: int32, number of training steps before this one.
    """

    x: jax.Array
    mask: jax.Array
    label: jax.Array
    weight: jax.Array
    utterance: jax.Array
    indices: jax.Array
    step: jax.Array


Features = Mapping[str, jax.Array]
"""Activations of a network by the names of its layers."""

LossFunction = Callable[[jax.Array, Features, Batch], jax.Array]
"""`(logits, features, batch) -> [batch]` float32 losses."""

PredictionFunction = Callable[[jax.Array, Features, jax.Array], jax.Array]
"""`(logits, features, x) -> [batch, n]` float32, averaged over the segments of an utterance."""


def classification_loss(name: str = "cross_entropy") -> LossFunction:
    """Returns the loss function of a classifier.

    Args:
        name: Name of a loss that is registered in `serjax.losses`.

    Raises:
        InputError: The loss is unknown.
    """
    loss = losses.get(name)

    def compute(logits: jax.Array, features: Features, batch: Batch) -> jax.Array:
        return loss(logits, batch.label, features)

    return compute


def class_probabilities(logits: jax.Array, features: Features, x: jax.Array) -> jax.Array:
    """Computes the probability of each class, `[batch, classes]` float32."""
    return jax.nn.softmax(logits, axis=-1)
