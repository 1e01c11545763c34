"""RH-emo (Guizzo et al., IEEE/ACM TASLP 31, 2023; arXiv 2204.02385): quaternion embeddings."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.layers import REAL, max_pool, shifted_conv

_CHANNELS = (2, 4, 4)
_POOLS = ((2, 2), (2, 1), (2, 1))


class RHEmoEncoder(nn.Module):
    """Real convolutions that turn a magnitude spectrogram into one quaternion per position.

    Three 3 x 3 convolutions, 1 -> 2 -> 4 -> 4 channels, each with ReLU and max pooling over
    (time, frequency) by (2, 2), (2, 1), (2, 1); batch norm after the first two. A 512 x 128
    spectrogram in [0, 1] becomes 64 x 64 x 4, the four channels read as discrete emotion,
    valence, arousal and dominance. 256 parameters.

    Attributes:
        dtype: Of the arithmetic.
        param_dtype: Of the stored parameters.
    """

    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """Embeds `[batch, frames, bins, 1]` -> `[batch, frames / 8, bins / 2, 4]`.

        `mask` `[batch, frames]` leaves batch entries without any real frame, which only fill up
        a batch, out of the batch statistics. Padding within an utterance is part of the input.
        """
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        filled = None if mask is None else mask.any(-1)[:, None, None, None]
        for index, (channels, pool) in enumerate(zip(_CHANNELS, _POOLS, strict=True), start=1):
            conv = REAL.conv(
                channels,
                3,
                padding=1,
                conv_general_dilated=shifted_conv,
                name=f"conv{index}",
                **types,
            )
            x = nn.relu(conv(x))
            x = max_pool(x, pool)
            if index < len(_CHANNELS):
                norm = REAL.batch_norm(use_running_average=not train, name=f"norm{index}", **types)
                x = norm(x, mask=filled)
        return x


class Embedded(nn.Module):
    """A quaternion network behind a trainable embedding of the spectrogram (Figure 1 of 2023).

    Attributes:
        embedding: From `[batch, frames, bins, 1]` to quaternions.
        classifier: Of those quaternions.
    """

    embedding: nn.Module
    classifier: nn.Module

    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, 1]` -> (logits, features, with `embedding` too)."""
        y = self.embedding(x, train=train, mask=mask)
        if mask is not None:
            mask = mask[:, :: mask.shape[1] // y.shape[1]]
        logits, features = self.classifier(y, train=train, mask=mask)
        return logits, {"embedding": y, **features}
