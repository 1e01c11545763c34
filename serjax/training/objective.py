"""What a training step minimizes, and what evaluation averages, as functions of a network's output.

A step takes any objective, so that every task is trained by the same step.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import optax


class Batch(NamedTuple):
    """What an objective may compare a network's output with.

    Attributes:
        x: `[batch, frames, bins, channels]` float32, what the network read.
        label: `[batch]` int32, the class.
        utterance: `[batch]` int32, the utterance that the example is a stretch of.
        step: int32, training steps done before this one.
    """

    x: jax.Array
    label: jax.Array
    utterance: jax.Array
    step: jax.Array


Features = Mapping[str, jax.Array]
Objective = Callable[[jax.Array, Features, Batch], jax.Array]
"""`(logits, features, batch) -> [batch]` float32 losses."""

Outputs = Callable[[jax.Array, Features, jax.Array], jax.Array]
"""`(logits, features, x) -> [batch, n]` float32, of which evaluation takes an utterance's mean."""


def classification(logits: jax.Array, features: Features, batch: Batch) -> jax.Array:
    """Cross-entropy of the classes, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch.label)


def class_probabilities(logits: jax.Array, features: Features, x: jax.Array) -> jax.Array:
    """Probability of each class."""
    return jax.nn.softmax(logits, axis=-1)
