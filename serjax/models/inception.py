"""Inception v3 of Szegedy et al. (2016; arXiv 1512.00567), over any algebra."""

import dataclasses
import functools
import string
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from serjax.features.arrays import at_least_float32
from serjax.layers import HEAD_INIT, REAL, Algebra, average_pool, max_pool
from serjax.models.common import check_input, global_pool, has_valid_frames


@dataclasses.dataclass(frozen=True)
class Convolution:
    """Convolution with batch norm and ReLU, an entry of the tables below.

    Attributes:
        name: Name in torchvision.
        channels: Number of output channels.
        kernel_size: Frames and bins of the kernel.
        stride: Stride along both axes.
        padding: "SAME" or "VALID".
    """

    name: str
    channels: int
    kernel_size: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


# The steps of a branch are sequential; those in an inner tuple are parallel and end the branch.
Pool = Callable[[jax.Array], jax.Array]
Step = Convolution | Pool | tuple[Convolution, ...]
Branches = tuple[tuple[Step, ...], ...]

_halve = functools.partial(max_pool, window=(3, 3), strides=(2, 2))
_smooth = functools.partial(average_pool, window=(3, 3), strides=(1, 1), padding=1)

_STEM: Branches = (
    (
        Convolution("conv2d_1a_3x3", 32, (3, 3), 2, "VALID"),
        Convolution("conv2d_2a_3x3", 32, (3, 3), 1, "VALID"),
        Convolution("conv2d_2b_3x3", 64, (3, 3)),
        _halve,
        Convolution("conv2d_3b_1x1", 80),
        Convolution("conv2d_4a_3x3", 192, (3, 3), 1, "VALID"),
        _halve,
    ),
)


def _inception_a(pooled: int) -> Branches:
    """Returns a module of the paper's Figure 5, with one 5 x 5 convolution for two of 3 x 3."""
    return (
        (Convolution("branch1x1", 64),),
        (Convolution("branch5x5_1", 48), Convolution("branch5x5_2", 64, (5, 5))),
        (
            Convolution("branch3x3dbl_1", 64),
            Convolution("branch3x3dbl_2", 96, (3, 3)),
            Convolution("branch3x3dbl_3", 96, (3, 3)),
        ),
        (_smooth, Convolution("branch_pool", pooled)),
    )


# The paper's Figure 10: halves frames and bins.
_INCEPTION_B: Branches = (
    (Convolution("branch3x3", 384, (3, 3), 2, "VALID"),),
    (
        Convolution("branch3x3dbl_1", 64),
        Convolution("branch3x3dbl_2", 96, (3, 3)),
        Convolution("branch3x3dbl_3", 96, (3, 3), 2, "VALID"),
    ),
    (_halve,),
)


def _inception_c(inner: int) -> Branches:
    """Returns a module of the paper's Figure 6 with n = 7."""
    return (
        (Convolution("branch1x1", 192),),
        (
            Convolution("branch7x7_1", inner),
            Convolution("branch7x7_2", inner, (1, 7)),
            Convolution("branch7x7_3", 192, (7, 1)),
        ),
        (
            Convolution("branch7x7dbl_1", inner),
            Convolution("branch7x7dbl_2", inner, (7, 1)),
            Convolution("branch7x7dbl_3", inner, (1, 7)),
            Convolution("branch7x7dbl_4", inner, (7, 1)),
            Convolution("branch7x7dbl_5", 192, (1, 7)),
        ),
        (_smooth, Convolution("branch_pool", 192)),
    )


# Halves frames and bins again.
_INCEPTION_D: Branches = (
    (
        Convolution("branch3x3_1", 192),
        Convolution("branch3x3_2", 320, (3, 3), 2, "VALID"),
    ),
    (
        Convolution("branch7x7x3_1", 192),
        Convolution("branch7x7x3_2", 192, (1, 7)),
        Convolution("branch7x7x3_3", 192, (7, 1)),
        Convolution("branch7x7x3_4", 192, (3, 3), 2, "VALID"),
    ),
    (_halve,),
)

# The paper's Figure 7.
_INCEPTION_E: Branches = (
    (Convolution("branch1x1", 320),),
    (
        Convolution("branch3x3_1", 384),
        (
            Convolution("branch3x3_2a", 384, (1, 3)),
            Convolution("branch3x3_2b", 384, (3, 1)),
        ),
    ),
    (
        Convolution("branch3x3dbl_1", 448),
        Convolution("branch3x3dbl_2", 384, (3, 3)),
        (
            Convolution("branch3x3dbl_3a", 384, (1, 3)),
            Convolution("branch3x3dbl_3b", 384, (3, 1)),
        ),
    ),
    (_smooth, Convolution("branch_pool", 192)),
)

_AUXILIARY: Branches = (
    (
        functools.partial(average_pool, window=(5, 5), strides=(3, 3)),
        Convolution("conv0", 128),
        Convolution("conv1", 768, (5, 5), 1, "VALID"),
    ),
)

_LETTERS = string.ascii_lowercase


def _modules(blocks: Sequence[int]) -> tuple[dict[str, Branches], dict[str, Branches]]:
    """Returns the modules before and after the auxiliary head by torchvision's lower-case names."""
    first, middle, last = blocks
    before = {"stem": _STEM}
    for index in range(first):
        before[f"mixed_5{_LETTERS[index + 1]}"] = _inception_a(64 if index else 32)
    before["mixed_6a"] = _INCEPTION_B
    for index in range(middle):
        inner = 128 if index == 0 else 192 if index == middle - 1 else 160
        before[f"mixed_6{_LETTERS[index + 1]}"] = _inception_c(inner)
    after = {"mixed_7a": _INCEPTION_D}
    for index in range(last):
        after[f"mixed_7{_LETTERS[index + 1]}"] = _INCEPTION_E
    return before, after


# Smallest inputs: one position remains at the end, and 17 at the input of the auxiliary head.
_SMALLEST, _SMALLEST_WITH_AUXILIARY = 75, 299


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm and ReLU.

    Attributes:
        settings: Settings of the convolution.
        conv: Constructor of the convolution.
        norm: Constructor of the batch norm, which is called with `mask=`.
    """

    settings: Convolution
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        """Convolves `[batch, frames, bins, channels]`; `mask` broadcasts against it."""
        conv = self.conv(
            self.settings.channels,
            self.settings.kernel_size,
            strides=self.settings.stride,
            padding=self.settings.padding,
            name="conv",
        )
        return nn.relu(self.norm(name="norm")(conv(x), mask=mask))


class Mixed(nn.Module):
    """Inception module: branches over the same input, whose outputs are concatenated.

    Attributes:
        branches: Steps of each branch.
        algebra: Algebra of the concatenation.
        conv: Constructor of a convolution.
        norm: Constructor of a batch norm.
    """

    branches: Branches
    algebra: Algebra
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None) -> tuple[jax.Array, list[jax.Array]]:
        """Returns the output, and the outputs of all convolutions in order.

        Args:
            x: Activations `[batch, frames, bins, channels]`.
            mask: Mask that broadcasts against `x`, or None.
        """
        outputs: list[jax.Array] = []

        def convolve(settings: Convolution, y: jax.Array) -> jax.Array:
            layer = ConvNorm(settings, self.conv, self.norm, name=settings.name)
            outputs.append(layer(y, mask))
            return outputs[-1]

        ends: list[jax.Array] = []
        for branch in self.branches:
            y = x
            last = [y]
            for step in branch:
                if isinstance(step, tuple):
                    last = [convolve(settings, y) for settings in step]
                else:
                    y = convolve(step, y) if isinstance(step, Convolution) else step(y)
                    last = [y]
            ends += last
        return self.algebra.concatenate(ends), outputs


class InceptionV3(nn.Module):
    """Inception v3 of torchvision.

    It has 23,834,568 parameters for 1000 classes and three channels, 27,161,264 with the auxiliary
    head. Batch norm has torchvision's epsilon of 0.001. The last layers are real in every algebra.
    He's initialization applies to all layers, where torchvision samples weights with a fixed
    deviation. The input has any size of at least 75 x 75; training with the auxiliary head needs
    299 x 299, the published size.

    Its features are `conv1` ... `conv94`, each after its ReLU, branch by branch; in training with
    the auxiliary head also `aux_logits` `[batch, classes]` float32.

    Attributes:
        num_classes: Number of classes.
        algebra: Algebra of all layers except the last.
        blocks: Number of modules at each of the three resolutions; a module that halves the
            resolution lies between them.
        auxiliary: Whether there is an auxiliary head halfway. The published training weights its
            loss by 0.4.
        pooling: Pooling over positions at the end, "mean" or "max".
        hidden: Width of a dense layer with ReLU before the last; None for no hidden layer.
        dropout_rate: Dropout rate after the pooling.
        dtype: Type of the arithmetic; means over positions and logits are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    blocks: Sequence[int] = (3, 4, 2)
    auxiliary: bool = False
    pooling: str = "mean"
    hidden: int | None = None
    dropout_rate: float = 0.5
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes logits and activations.

        Args:
            x: Input `[batch, frames, bins, channels]`, its padding included.
            train: Whether the network trains: dropout is active and batch statistics normalize.
            mask: Mask of valid frames `[batch, frames]`. It only excludes entries that fill up a
                batch, which have no valid frame, from the batch statistics.

        Returns:
            Logits `[batch, classes]` float32, and features by name.

        Raises:
            InputError: The input is smaller than 75 x 75, or than 299 x 299 if the auxiliary head
                is trained or initialized, or the pooling is unknown.
        """
        has_auxiliary = self.auxiliary and (train or self.is_initializing())
        if has_auxiliary:
            check_input("InceptionV3, auxiliary head", x, _SMALLEST_WITH_AUXILIARY)
        check_input("InceptionV3", x, _SMALLEST)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        nonempty = has_valid_frames(mask)
        conv = functools.partial(self.algebra.conv, use_bias=False, **types)
        norm = functools.partial(
            self.algebra.batch_norm, use_running_average=not train, epsilon=1e-3, **types
        )
        features: dict[str, jax.Array] = {}

        def mixed(name: str, branches: Branches, y: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
            return Mixed(branches, self.algebra, conv, norm, name=name)(y, nonempty)

        def apply_modules(modules: dict[str, Branches], y: jax.Array) -> jax.Array:
            for name, branches in modules.items():
                y, outputs = mixed(name, branches, y)
                for output in outputs:
                    features[f"conv{len(features) + 1}"] = output
            return y

        def classify(name: str, y: jax.Array) -> jax.Array:
            head = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name=name, **types)
            return head(y).astype(jnp.float32)

        before, after = _modules(self.blocks)
        halfway = apply_modules(before, x)
        x = global_pool(apply_modules(after, halfway), None, self.pooling)
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        if self.hidden is not None:
            x = nn.relu(self.algebra.dense(self.hidden, name="dense1", **types)(x))
        if has_auxiliary:
            y, _ = mixed("aux", _AUXILIARY, halfway)
            y = jnp.mean(at_least_float32(y), axis=(1, 2))
            features["aux_logits"] = classify("aux_head", y)
        return classify("head", x), features
