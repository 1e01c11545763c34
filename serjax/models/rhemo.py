"""RH-emo of Guizzo et al. (2023; arXiv 2204.02385), for quaternion embeddings of speech."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from serjax.errors import InputError
from serjax.features.arrays import at_least_float32
from serjax.layers import HEAD_INIT, QUATERNION, REAL, Algebra, max_pool
from serjax.models.common import check_input, has_valid_frames

DIMENSIONS = ("valence", "arousal", "dominance")
"""Meaning of the second to the fourth component of the embedding."""

_CHANNELS = (2, 4, 4)
_POOLS = ((2, 2), (2, 1), (2, 1))
# The decoder undoes the poolings from the last to the first.
_STRIDES = _POOLS[::-1]


class RHEmoEncoder(nn.Module):
    """Encoder from a magnitude spectrogram to one quaternion per position.

    Three 3 x 3 convolutions, 1 -> 2 -> 4 -> 4 channels, each with ReLU and max pooling over
    (time, frequency) by (2, 2), (2, 1), (2, 1); batch norm after the first two. A 512 x 128
    spectrogram in [0, 1] becomes an embedding of 64 x 64 x 4, whose four channels represent
    discrete emotion, valence, arousal and dominance. As published, the convolutions are real and
    have 256 parameters.

    In another algebra, the spectrogram is the first component of hypercomplex values whose other
    components are zero, and a layer has at least as many channels as the algebra has components.

    Attributes:
        algebra: Algebra of all layers.
        dtype: Type of the arithmetic.
        param_dtype: Type of the stored parameters.
    """

    algebra: Algebra = REAL
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes embeddings.

        Args:
            x: Spectrograms `[batch, frames, bins, 1]` in [0, 1], their padding included.
            train: Whether batch statistics normalize.
            mask: Mask of valid frames `[batch, frames]`. It only excludes entries that fill up a
                batch, which have no valid frame, from the batch statistics.

        Returns:
            Embeddings `[batch, frames / 8, bins / 2, 4]`, and the features `conv1` ... `conv3`,
            each after its ReLU.

        Raises:
            InputError: The input has another rank.
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
                x = norm(x, mask=has_valid_frames(mask))
        return x, features


class RHEmoDecoder(nn.Module):
    """Decoder from an embedding to a spectrogram.

    Three quaternion transposed convolutions of 3 x 3, 4 -> 4 channels, with strides (2, 1),
    (2, 1), (2, 2) over (time, frequency); ReLU and quaternion batch norm after the first two. The
    sigmoids of the four output channels are four spectrograms, whose mean is the reconstruction.
    The decoder has 130 parameters. Each layer is the transpose of a convolution with padding 1,
    like those of the encoder.

    Attributes:
        dtype: Type of the arithmetic.
        param_dtype: Type of the stored parameters.
    """

    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, list[jax.Array]]:
        """Decodes embeddings.

        Args:
            x: Embeddings `[batch, frames, bins, 4]`.
            train: Whether batch statistics normalize.
            mask: Mask of valid frames, see `RHEmoEncoder`.

        Returns:
            Output before the last sigmoid `[batch, 8 * frames, 2 * bins, 4]`, and the outputs of
            the convolutions, each after its ReLU or sigmoid.
        """
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        outputs: list[jax.Array] = []
        for index, strides in enumerate(_STRIDES, start=1):
            conv = QUATERNION.conv_transpose(
                4,
                3,
                strides=strides,
                # The padding at the end exceeds that at the start by the stride less 1, so that n
                # positions become stride * n.
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
            x = norm(x, mask=has_valid_frames(mask))
        return x, [*outputs, nn.sigmoid(x)]


class _Head(nn.Module):
    """Classifier of one component of the embedding, with two hidden layers and ReLU."""

    outputs: int
    hidden: int
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Computes logits `[batch, outputs]` float32 from `[batch, frames, bins]`."""
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = x.reshape(len(x), -1)
        for index in (1, 2):
            x = nn.relu(REAL.dense(self.hidden, name=f"dense{index}", **types)(x))
        head = REAL.dense(self.outputs, kernel_init=HEAD_INIT, name="head", **types)
        return head(x).astype(jnp.float32)


def _log_odds_of_mean(x: jax.Array) -> jax.Array:
    """Computes log(p / (1 - p)) for p, the mean of sigmoid(x) over the last axis.

    p rounds to 0 or 1 if all values of x are large; the logarithms of p and 1 - p do not.

    Args:
        x: Logits `[..., n]`.

    Returns:
        Log-odds `[..., 1]`, at least float32.
    """
    y = at_least_float32(x)
    log_p = jax.nn.logsumexp(jax.nn.log_sigmoid(y), axis=-1, keepdims=True)
    log_rest = jax.nn.logsumexp(jax.nn.log_sigmoid(-y), axis=-1, keepdims=True)
    return log_p - log_rest


class RHEmo(nn.Module):
    """RH-emo autoencoder with its four classifiers.

    It has an encoder, a decoder (`RHEmoEncoder`, `RHEmoDecoder`), and a classifier of each
    component of the embedding, 4096 -> 4096 -> 4096 -> outputs for 512 x 128 spectrograms, with
    ReLU between its layers. The first component predicts the discrete emotion, the others valence,
    arousal and dominance. As published, with 5 classes, it has 134.3 M parameters, nearly all of
    them in the classifiers.

    As published, the encoder and the classifiers are real and the decoder is quaternion. Another
    algebra applies to the encoder only: every decoder is the published one, and a classifier takes
    one component, which is real.

    The variables of the encoder are named `embedding`, as in the networks that take its output.
    Train on `losses.binary_cross_entropy(features["reconstruction_logits"], x)`, then on the sum
    of that and `losses.emotion_loss`. Outputs that a loss does not use are not computed.

    Its features are `conv1` ... `conv3` of the encoder; `embedding`
    `[batch, frames / 8, bins / 2, 4]`; `conv4` ... `conv6` of the decoder, the last one after its
    sigmoid; `reconstruction` `[batch, frames, bins, 1]` float32 in [0, 1], and
    `reconstruction_logits`, its log-odds; `valence`, `arousal` and `dominance`, logits `[batch]`
    float32.

    Attributes:
        num_classes: Number of discrete emotions.
        algebra: Algebra of the encoder.
        hidden: Width of the two hidden layers of each classifier.
        dimensions: Whether there are classifiers of valence, arousal and dominance; False for
            corpora without these labels.
        dtype: Type of the arithmetic; logits and the reconstruction are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    hidden: int = 4096
    dimensions: bool = True
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes logits of the discrete emotions, and activations.

        Args:
            x: Spectrograms `[batch, frames, bins, 1]` in [0, 1] of a fixed size, zero-padded as in
                the paper.
            train: Whether batch statistics normalize.
            mask: Mask of valid frames, see `RHEmoEncoder`.

        Returns:
            Logits `[batch, classes]` float32, and features by name.

        Raises:
            InputError: The number of frames is no multiple of 8, that of bins no multiple of 2, or
                there is more than one channel.
        """
        if x.ndim != 4 or x.shape[1] % 8 or x.shape[2] % 2 or x.shape[3] != 1:
            raise InputError(
                "RHEmo, input: expected [batch, frames, bins, 1] with frames a multiple of 8 and "
                f"bins of 2, found {x.shape}"
            )
        embedding, features = RHEmoEncoder(
            self.algebra, self.dtype, self.param_dtype, name="embedding"
        )(x, train=train, mask=mask)
        features["embedding"] = embedding
        decoded, outputs = RHEmoDecoder(self.dtype, self.param_dtype, name="decoder")(
            embedding, train=train, mask=mask
        )
        for index, output in enumerate(outputs, start=len(_CHANNELS) + 1):
            features[f"conv{index}"] = output
        mean = jnp.mean(nn.sigmoid(at_least_float32(decoded)), axis=-1, keepdims=True)
        features["reconstruction"] = mean
        features["reconstruction_logits"] = _log_odds_of_mean(decoded)
        names = DIMENSIONS if self.dimensions else ()
        for component, name in enumerate(names, start=1):
            head = _Head(1, self.hidden, self.dtype, self.param_dtype, name=name)
            features[name] = head(embedding[..., component])[:, 0]
        discrete = _Head(
            self.num_classes, self.hidden, self.dtype, self.param_dtype, name="discrete"
        )
        return discrete(embedding[..., 0]), features


class Embedded(nn.Module):
    """Network with a trainable encoder of the spectrogram, Guizzo et al. (2023), Figure 1.

    Its features are those of the classifier, and `embedding`.

    Attributes:
        embedding: Encoder from `[batch, frames, bins, 1]` to embeddings and features.
        classifier: Network that takes the embeddings.
    """

    embedding: nn.Module
    classifier: nn.Module

    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes logits and activations.

        Args:
            x: Spectrograms `[batch, frames, bins, 1]`.
            train: Whether the network trains.
            mask: Mask of valid frames `[batch, frames]`, or None.

        Returns:
            Logits `[batch, classes]` float32, and features by name.

        Raises:
            InputError: The classifier refuses the embedding, such as one that is too small.
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
        """Computes embeddings `[batch, rows, columns, 4]` from `[batch, frames, bins, 1]`."""
        y, _ = self.embedding(x, train=train, mask=mask)
        return y

    def classify(
        self, y: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes logits and activations of the classifier.

        Args:
            y: Embeddings `[batch, rows, columns, 4]`.
            train: Whether the network trains.
            mask: Mask of valid frames `[batch, frames]` of the spectrogram, or None.
        """
        if mask is not None:
            mask = mask[:, :: mask.shape[1] // y.shape[1]]
        return self.classifier(y, train=train, mask=mask)
