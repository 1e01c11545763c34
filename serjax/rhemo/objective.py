"""What each stage of RH-emo's pretraining minimizes, and what is measured of it.

Equations and weights are those of Guizzo et al., IEEE/ACM TASLP 31, 2023, see `serjax.losses`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from serjax import losses
from serjax.models.rhemo import DIMENSIONS
from serjax.training import evaluate
from serjax.training.objective import Batch, Features, Objective


def _read_dimensions(features: Features) -> jax.Array:
    """Logits `[batch, 3]` of valence, arousal and dominance, or `[batch, 0]`."""
    found = [features[name] for name in DIMENSIONS if name in features]
    some = features["reconstruction_logits"]
    return jnp.stack(found, axis=-1) if found else jnp.zeros((len(some), 0), jnp.float32)


def reconstruction(logits: jax.Array, features: Features, batch: Batch) -> jax.Array:
    """Objective of the first stage: binary cross-entropy of the spectrogram, in nats."""
    return losses.binary_cross_entropy(features["reconstruction_logits"], batch.x)


def with_emotions(targets: np.ndarray, warmup_steps: int = 0) -> Objective:
    """Makes the objective of the second stage: `reconstruction` and `losses.emotion_loss`.

    Args:
        targets: `[utterances, 3]` of valence, arousal and dominance in [0, 1], or
            `[utterances, 0]`.
        warmup_steps: Steps in which the second's weight rises evenly to its own; the loss of step
            k, from 0, has (k + 1) / warmup_steps of it.
    """

    def objective(logits: jax.Array, features: Features, batch: Batch) -> jax.Array:
        emotions = losses.emotion_loss(
            logits, _read_dimensions(features), batch.label, jnp.asarray(targets)[batch.utterance]
        )
        done = (batch.step + 1).astype(jnp.float32) / max(warmup_steps, 1)
        return reconstruction(logits, features, batch) + jnp.minimum(done, 1.0) * emotions

    return objective


def outputs(logits: jax.Array, features: Features, x: jax.Array) -> jax.Array:
    """What is evaluated: probabilities of classes and of dimensions, and the reconstruction's loss.

    Returns:
        `[batch, classes + dimensions + 1]` float32.
    """
    loss = losses.binary_cross_entropy(features["reconstruction_logits"], x)
    probable = jax.nn.softmax(logits, axis=-1), jax.nn.sigmoid(_read_dimensions(features))
    return jnp.concatenate([*probable, loss[:, None]], axis=-1)


def scores(
    found: np.ndarray, labels: np.ndarray, targets: np.ndarray, *, emotions: bool
) -> dict[str, float]:
    """Mean "loss" of a stage, "wa", "ua", and "reconstruction", its loss alone.

    Args:
        found: `[utterances, classes + dimensions + 1]`, see `outputs`.
        labels: `[utterances]` integer.
        targets: `[utterances, dimensions]` in [0, 1].
        emotions: Whether the stage learns them.
    """
    classes = found.shape[-1] - targets.shape[-1] - 1
    probabilities, high = found[:, :classes], found[:, classes:-1]
    tiny = np.finfo(np.float32).tiny
    loss = float(found[:, -1].mean())
    measured = {**evaluate.scores(probabilities, labels), "loss": loss, "reconstruction": loss}
    if emotions:
        odds = np.maximum(high, tiny) / np.maximum(1 - high, tiny)
        of_emotions = losses.emotion_loss(
            jnp.asarray(np.log(np.maximum(probabilities, tiny)), jnp.float32),
            jnp.asarray(np.log(odds), jnp.float32),
            jnp.asarray(labels),
            jnp.asarray(targets),
        )
        measured["loss"] += float(of_emotions.mean())
    return measured
