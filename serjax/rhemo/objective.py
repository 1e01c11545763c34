"""Losses, predictions and scores of the stages of RH-emo's pretraining.

Equations and weights are those of Guizzo et al. (2023), IEEE/ACM TASLP 31, see `serjax.losses`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from serjax import losses
from serjax.models.rhemo import DIMENSIONS
from serjax.training import evaluate
from serjax.training.objective.task_loss import Batch, Features, LossFunction


def _dimension_logits(features: Features) -> jax.Array:
    """Returns logits `[batch, 3]` of valence, arousal and dominance, or `[batch, 0]`."""
    logits = [features[name] for name in DIMENSIONS if name in features]
    batch_size = len(features["reconstruction_logits"])
    return jnp.stack(logits, axis=-1) if logits else jnp.zeros((batch_size, 0), jnp.float32)


def reconstruction_loss(logits: jax.Array, features: Features, batch: Batch) -> jax.Array:
    """Computes the loss of the first stage: binary cross-entropy of the spectrogram.

    Returns:
        `[batch]` float32 in nats.
    """
    return losses.binary_cross_entropy(features["reconstruction_logits"], batch.x)


def emotions_loss(targets: np.ndarray, warmup_steps: int = 0) -> LossFunction:
    """Makes the loss of the second stage: `reconstruction_loss` and `losses.emotion_loss`.

    Args:
        targets: `[utterances, 3]` valence, arousal and dominance in [0, 1], or `[utterances, 0]`.
        warmup_steps: Number of steps in which the weight of the emotions rises linearly to its
            full value; step k, from 0, has (k + 1) / warmup_steps of it.
    """

    def compute(logits: jax.Array, features: Features, batch: Batch) -> jax.Array:
        emotions = losses.emotion_loss(
            logits, _dimension_logits(features), batch.label, jnp.asarray(targets)[batch.utterance]
        )
        fraction = (batch.step + 1).astype(jnp.float32) / max(warmup_steps, 1)
        return reconstruction_loss(logits, features, batch) + jnp.minimum(fraction, 1.0) * emotions

    return compute


def predict(logits: jax.Array, features: Features, x: jax.Array) -> jax.Array:
    """Computes probabilities of classes and of dimensions, and the loss of the reconstruction.

    Returns:
        `[batch, classes + dimensions + 1]` float32.
    """
    loss = losses.binary_cross_entropy(features["reconstruction_logits"], x)
    classes, dimensions = jax.nn.softmax(logits), jax.nn.sigmoid(_dimension_logits(features))
    return jnp.concatenate([classes, dimensions, loss[:, None]], axis=-1)


def scores(
    predictions: np.ndarray, labels: np.ndarray, targets: np.ndarray, *, with_emotions: bool
) -> dict[str, float]:
    """Computes the mean "loss" of a stage, "wa", "ua", and "reconstruction", the first loss.

    Args:
        predictions: `[utterances, classes + dimensions + 1]`, see `predict`.
        labels: `[utterances]` integer, true classes.
        targets: `[utterances, dimensions]` in [0, 1].
        with_emotions: True for the second stage.
    """
    classes = predictions.shape[-1] - targets.shape[-1] - 1
    probabilities, dimensions = predictions[:, :classes], predictions[:, classes:-1]
    tiny = np.finfo(np.float32).tiny
    loss = float(predictions[:, -1].mean())
    result = {**evaluate.scores(probabilities, labels), "loss": loss, "reconstruction": loss}
    if with_emotions:
        odds = np.maximum(dimensions, tiny) / np.maximum(1 - dimensions, tiny)
        emotions = losses.emotion_loss(
            jnp.asarray(np.log(np.maximum(probabilities, tiny)), jnp.float32),
            jnp.asarray(np.log(odds), jnp.float32),
            jnp.asarray(labels),
            jnp.asarray(targets),
        )
        result["loss"] += float(emotions.mean())
    return result
