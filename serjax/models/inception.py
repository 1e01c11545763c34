"""Inception v3 (Szegedy et al., CVPR 2016; arXiv 1512.00567) over any algebra."""

import dataclasses
import functools
import string
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.features.arrays import at_least_float32
from serjax.layers import HEAD_INIT, REAL, Algebra, average_pool, max_pool
from serjax.models.heads import global_pool
from serjax.models.input_size import check_input


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution with batch norm and ReLU, as the tables below list them.

    Attributes:
        name: torchvision's.
        channels: Of the result.
        window: Extent along rows and columns.
        stride: Along both.
        padding: "SAME" or "VALID".
    """

    name: str
    channels: int
    window: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


# The steps of a branch follow one another; those in an inner tuple lie side by side and end it.
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
    """Figure 5 of the paper, one branch with a 5 x 5 convolution in place of two of 3 x 3."""
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


# Figure 10 of the paper: halves rows and columns.
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
    """Figure 6 of the paper, n = 7."""
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


# Halves rows and columns once more.
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

# Figure 7 of the paper.
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
    """The modules before and after the auxiliary head, by torchvision's names in lower case."""
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


# The smallest that leave one position at the end, and 17 where the auxiliary head looks.
_SMALLEST, _SMALLEST_WITH_AUXILIARY = 75, 299


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU.

    Attributes:
        shape: Of the convolution.
        conv: Makes the convolution.
        norm: Makes the normalization, called with `mask=`.
    """

    shape: Convolution
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        """`[batch, frames, bins, channels]`; `mask` broadcasts against it."""
        shape = self.shape
        conv = self.conv(
            shape.channels, shape.window, strides=shape.stride, padding=shape.padding, name="conv"
        )
        return nn.relu(self.norm(name="norm")(conv(x), mask=mask))


class Mixed(nn.Module):
    """An inception module: branches over the same input, their ends concatenated.

    Attributes:
        branches: The steps of each.
        algebra: Concatenates.
        conv: Makes a convolution.
        norm: Makes a normalization.
    """

    branches: Branches
    algebra: Algebra
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None) -> tuple[jax.Array, list[jax.Array]]:
        """`[batch, frames, bins, channels]` -> (output, outputs of all convolutions in order)."""
        outputs: list[jax.Array] = []

        def convolve(shape: Convolution, y: jax.Array) -> jax.Array:
            outputs.append(ConvNorm(shape, self.conv, self.norm, name=shape.name)(y, mask))
            return outputs[-1]

        ends: list[jax.Array] = []
        for branch in self.branches:
            y = x
            last = [y]
            for step in branch:
                if isinstance(step, tuple):
                    last = [convolve(shape, y) for shape in step]
                else:
                    y = convolve(step, y) if isinstance(step, Convolution) else step(y)
                    last = [y]
            ends += last
        return self.algebra.concatenate(ends), outputs


class InceptionV3(nn.Module):
    """Inception v3 as torchvision has it.

    23,834,568 parameters with 1000 classes on three channels, 27,161,264 with the auxiliary head.
    Batch norm has torchvision's epsilon of 0.001. The last layers are real in every algebra.
    Weights start by He's rule, where torchvision draws them with a fixed deviation. Input has any
    size from 75 x 75 on; with the auxiliary head training needs 299 x 299, the published size.

    `features` of the result: `conv1` ... `conv94`, each after its ReLU, branch by branch; in
    training with the auxiliary head also its `aux_logits` `[batch, classes]` float32.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        blocks: Number of modules at each of the three sizes; a module that halves lies between.
        auxiliary: Whether there is a second classifier halfway, which trains along and whose
            loss the published training weights by 0.4.
        pooling: Over positions at the end, "mean" or "max".
        hidden: Units of a dense layer with ReLU before the last; None: there is none.
        dropout_rate: Before the last layer, or the one before it.
        dtype: Of the arithmetic; means over positions and logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    blocks: Sequence[int] = (3, 4, 2)
    auxiliary: bool = False
    pooling: str = "mean"
    hidden: int | None = None
    dropout_rate: float = 0.5
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, channels]` -> (logits `[batch, classes]`, features).

        The input's padding is part of it; `mask` `[batch, frames]` leaves batch entries without
        any real frame, which only fill up a batch, out of the batch statistics.

        Raises:
            InputError: an input smaller than 75 x 75, or than 299 x 299 where the auxiliary head
                is trained or initialized; another pooling than mean and max.
        """
        auxiliary = self.auxiliary and (train or self.is_initializing())
        if auxiliary:
            check_input("InceptionV3, auxiliary head", x, _SMALLEST_WITH_AUXILIARY)
        check_input("InceptionV3", x, _SMALLEST)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        filled = None if mask is None else mask.any(-1)[:, None, None, None]
        conv = functools.partial(self.algebra.conv, use_bias=False, **types)
        norm = functools.partial(
            self.algebra.batch_norm, use_running_average=not train, epsilon=1e-3, **types
        )
        features: dict[str, jax.Array] = {}

        def mixed(name: str, branches: Branches, y: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
            return Mixed(branches, self.algebra, conv, norm, name=name)(y, filled)

        def follow(modules: dict[str, Branches], y: jax.Array) -> jax.Array:
            for name, branches in modules.items():
                y, outputs = mixed(name, branches, y)
                for output in outputs:
                    features[f"conv{len(features) + 1}"] = output
            return y

        def classify(name: str, y: jax.Array) -> jax.Array:
            head = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name=name, **types)
            return head(y).astype(jnp.float32)

        before, after = _modules(self.blocks)
        halfway = follow(before, x)
        x = global_pool(follow(after, halfway), None, self.pooling)
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        if self.hidden is not None:
            x = nn.relu(self.algebra.dense(self.hidden, name="dense1", **types)(x))
        if auxiliary:
            y, _ = mixed("aux", _AUXILIARY, halfway)
            y = jnp.mean(at_least_float32(y), axis=(1, 2))
            features["aux_logits"] = classify("aux_head", y)
        return classify("head", x), features
