"""RH-emo (Guizzo et al., IEEE/ACM TASLP 31, 2023; arXiv 2204.02385): quaternion embeddings."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.errors import InputError
from serjax.features.arrays import at_least_float32
from serjax.layers import HEAD_INIT, QUATERNION, REAL, Algebra, max_pool
from serjax.models.input_size import check_input

DIMENSIONS = ("valence", "arousal", "dominance")
"""What the second to the fourth component of the embedding are read as."""

_CHANNELS = (2, 4, 4)
_POOLS = ((2, 2), (2, 1), (2, 1))
# The decoder undoes the poolings from the last to the first.
_STRIDES = _POOLS[::-1]


def _filled(mask: jax.Array | None) -> jax.Array | None:
    """Batch entries with any real frame, against `[batch, frames, bins, channels]`."""
    return None if mask is None else mask.any(-1)[:, None, None, None]


class RHEmoEncoder(nn.Module):
    """Convolutions that turn a magnitude spectrogram into one quaternion per position.

    Three 3 x 3 convolutions, 1 -> 2 -> 4 -> 4 channels, each with ReLU and max pooling over
    (time, frequency) by (2, 2), (2, 1), (2, 1); batch norm after the first two. A 512 x 128
    spectrogram in [0, 1] becomes 64 x 64 x 4, the four channels read as discrete emotion,
    valence, arousal and dominance. As published the convolutions are real, 256 parameters.

    In another algebra the spectrogram is the first component of numbers whose others are zero,
    and a layer has the channels of one number where it would have fewer.

    Attributes:
        algebra: Of all layers.
        dtype: Of the arithmetic.
        param_dtype: Of the stored parameters.
    """

    algebra: Algebra = REAL
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Embeds `[batch, frames, bins, 1]` -> (`[batch, frames / 8, bins / 2, 4]`, features).

        The features are `conv1` ... `conv3`, each after its ReLU. `mask` `[batch, frames]` leaves
        batch entries without any real frame, which only fill up a batch, out of the batch
        statistics. Padding within an utterance is part of the input.
        """
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        components = self.algebra.components
        check_input("RHEmoEncoder", x, 1)
        features: dict[str, jax.Array] = {}
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, components - 1)))
        for index, (channels, pool) in enumerate(zip(_CHANNELS, _POOLS, strict=True), start=1):
            conv = self.algebra.conv(
                max(channels, components), 3, padding=1, name=f"conv{index}", **types
            )
            x = features[f"conv{index}"] = nn.relu(conv(x))
            x = max_pool(x, pool)
            if index < len(_CHANNELS):
                norm = self.algebra.batch_norm(
                    use_running_average=not train, name=f"norm{index}", **types
                )
                x = norm(x, mask=_filled(mask))
        return x, features


class RHEmoDecoder(nn.Module):
    """Quaternion transposed convolutions that turn an embedding back into a spectrogram.

    Three of 3 x 3, 4 -> 4 channels, with strides (2, 1), (2, 1), (2, 2) over (time, frequency);
    ReLU and quaternion batch norm after the first two. The sigmoids of the last one's four
    channels are four spectrograms, whose mean is the reconstruction. 130 parameters. Each layer
    is the transpose of a convolution with padding 1, as the encoder has it.

    Attributes:
        dtype: Of the arithmetic.
        param_dtype: Of the stored parameters.
    """

    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, list[jax.Array]]:
        """Decodes `[batch, rows, columns, 4]` -> (`[batch, 8 rows, 2 columns, 4]`, outputs).

        The first is what the sigmoid is applied to. The outputs are those of the convolutions,
        each after its ReLU or sigmoid. `mask` as in `RHEmoEncoder`.
        """
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        outputs: list[jax.Array] = []
        for index, strides in enumerate(_STRIDES, start=1):
            conv = QUATERNION.conv_transpose(
                4,
                3,
                strides=strides,
                # At the end of an axis its stride less 1 more, to make n positions stride * n.
                padding=[(1, stride) for stride in strides],
                name=f"conv{index}",
                **types,
            )
            x = conv(x)
            if index == len(_STRIDES):
                break
            x = nn.relu(x)
            outputs.append(x)
            norm = QUATERNION.batch_norm(
                use_running_average=not train, name=f"norm{index}", **types
            )
            x = norm(x, mask=_filled(mask))
        return x, [*outputs, nn.sigmoid(x)]


class _Head(nn.Module):
    """Classifier of one component of the embedding: two hidden layers with ReLU, then logits."""

    outputs: int
    hidden: int
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[batch, rows, columns]` -> `[batch, outputs]` float32."""
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = x.reshape(len(x), -1)
        for index in (1, 2):
            x = nn.relu(REAL.dense(self.hidden, name=f"dense{index}", **types)(x))
        head = REAL.dense(self.outputs, kernel_init=HEAD_INIT, name="head", **types)
        return head(x).astype(jnp.float32)


def _log_odds_of_mean(x: jax.Array) -> jax.Array:
    """log(p / (1 - p)) of p, the mean of sigmoid(x) over the last axis, which is kept; float32.

    p rounds to 0 or 1 where all of x is large; the logarithms of p and 1 - p do not.
    """
    y = at_least_float32(x)
    log_p = jax.nn.logsumexp(jax.nn.log_sigmoid(y), axis=-1, keepdims=True)
    log_rest = jax.nn.logsumexp(jax.nn.log_sigmoid(-y), axis=-1, keepdims=True)
    return log_p - log_rest


class RHEmo(nn.Module):
    """The RH-emo autoencoder with its four classifiers.

    An encoder, a decoder (`RHEmoEncoder`, `RHEmoDecoder`), and for each component of the embedding
    a classifier, 4096 -> 4096 -> 4096 -> outputs on 512 x 128 spectrograms, with ReLU between its
    layers: discrete emotion reads the first component, valence, arousal and dominance the others.
    Published with 5 classes, 134.3 M parameters, nearly all of them in the classifiers.

    As published, the encoder and the classifiers are real and the decoder is quaternion. Other
    algebras are the encoder's alone: the decoder's is the published one in every network, and a
    classifier reads one component, which is a real number.

    The encoder's variables are named `embedding`, as in the networks that stand behind it. Train
    on `losses.binary_cross_entropy(features["reconstruction_logits"], x)`, then on that plus
    `losses.emotion_loss`. What a loss does not read is not computed.

    `features` of the result: `conv1` ... `conv3` of the encoder; `embedding`
    `[batch, frames / 8, bins / 2, 4]`; `conv4` ... `conv6` of the decoder, the last after its
    sigmoid; `reconstruction` `[batch, frames, bins, 1]` float32 in [0, 1], and
    `reconstruction_logits`, its log-odds; `valence`, `arousal` and `dominance`, logits `[batch]`
    float32.

    Attributes:
        num_classes: Discrete emotions.
        algebra: Of the encoder.
        hidden: Width of the two hidden layers of each classifier.
        dimensions: Whether it classifies valence, arousal and dominance too; False leaves their
            classifiers out, for corpora that do not say.
        dtype: Of the arithmetic; logits and the reconstruction are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    hidden: int = 4096
    dimensions: bool = True
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, 1]` in [0, 1] -> (logits of the emotions, features).

        The input has a fixed size, zero-padded as in the paper; `mask` as in `RHEmoEncoder`.

        Raises:
            InputError: frames not a multiple of 8, bins not of 2, or more than one channel.
        """
        if x.ndim != 4 or x.shape[1] % 8 or x.shape[2] % 2 or x.shape[3] != 1:
            raise InputError(
                "RHEmo, input: expected [batch, frames, bins, 1] with frames a multiple of 8 and "
                f"bins of 2, found {x.shape}"
            )
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        embedding, features = RHEmoEncoder(self.algebra, name="embedding", **types)(
            x, train=train, mask=mask
        )
        features["embedding"] = embedding
        decoded, outputs = RHEmoDecoder(name="decoder", **types)(embedding, train=train, mask=mask)
        for index, output in enumerate(outputs, start=len(_CHANNELS) + 1):
            features[f"conv{index}"] = output
        mean = jnp.mean(nn.sigmoid(at_least_float32(decoded)), axis=-1, keepdims=True)
        features["reconstruction"] = mean
        features["reconstruction_logits"] = _log_odds_of_mean(decoded)
        names = DIMENSIONS if self.dimensions else ()
        for component, name in enumerate(names, start=1):
            head = _Head(1, self.hidden, name=name, **types)
            features[name] = head(embedding[..., component])[:, 0]
        discrete = _Head(self.num_classes, self.hidden, name="discrete", **types)
        return discrete(embedding[..., 0]), features


class Embedded(nn.Module):
    """A quaternion network behind a trainable embedding of the spectrogram (Figure 1 of 2023).

    Attributes:
        embedding: From `[batch, frames, bins, 1]` to (quaternions, features).
        classifier: Of those quaternions.
    """

    embedding: nn.Module
    classifier: nn.Module

    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, 1]` -> (logits, features, with `embedding` too).

        Raises:
            InputError: The classifier's, where the embedding is too small for it.
        """
        y = self.embed(x, train=train, mask=mask)
        try:
            logits, features = self.classify(y, train=train, mask=mask)
        except InputError as error:
            frames, bins = x.shape[1] // y.shape[1], x.shape[2] // y.shape[2]
            raise InputError(
                f"{error}, the embedding of {x.shape[1]} x {x.shape[2]}: its frames over {frames}, "
                f"bins over {bins}"
            ) from error
        return logits, {"embedding": y, **features}

    def embed(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """Embeds `[batch, frames, bins, 1]` -> `[batch, rows, columns, 4]`."""
        y, _ = self.embedding(x, train=train, mask=mask)
        return y

    def classify(
        self, y: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, rows, columns, 4]` -> (logits, features); `mask` of the frames."""
        if mask is not None:
            mask = mask[:, :: mask.shape[1] // y.shape[1]]
        return self.classifier(y, train=train, mask=mask)
