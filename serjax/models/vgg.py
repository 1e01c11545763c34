"""VGG networks (Simonyan & Zisserman, 2015) over any algebra."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.layers import HEAD_INIT, REAL, Algebra, adaptive_average_pool, max_pool
from serjax.models.input_size import check_input

# Configurations A, B, D and E of the paper's Table 1.
VGG11_STAGES = ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2)
VGG13_STAGES = ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2)
VGG16_STAGES = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
VGG19_STAGES = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)


class VGG(nn.Module):
    """VGG; by default the first dense layer takes all that the convolutions leave.

    Section 3.1 of Guizzo et al. 2023: torchvision's VGG16 without its adaptive average pooling,
    which `pool` of 7 puts back; on 224 x 224 the two are the same. The real one on 512 x 128
    leaves 16 x 4 x 512 = 32768 values and has 165.7 M parameters; the quaternion one on a 64 x 64
    embedding leaves 2048 and has 10.0 M. The last layer is real in every algebra. Weights start by
    He's rule throughout, where torchvision gives dense layers a fixed deviation of 0.01. Input has
    any size from 32 x 32 on, without `pool` always the same.

    `features` of the result: `conv1` ... in order, each after its ReLU.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        stages: Channels of the convolutions; a 2 x 2 max pooling ends each stage.
        pool: Rows and columns that adaptive average pooling leaves for the dense layers, which
            then fit every size; None for no such pooling.
        hidden: Width of the two hidden dense layers.
        dropout_rate: After each hidden dense layer.
        dtype: Of the arithmetic; logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    stages: Sequence[Sequence[int]] = VGG16_STAGES
    pool: int | None = None
    hidden: int = 4096
    dropout_rate: float = 0.5
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, channels]` -> (logits `[batch, classes]`, features).

        The input is zero-padded as in the paper, so `mask` has nothing to say.

        Raises:
            InputError: an input that the stages halve to nothing: smaller than 32 x 32.
        """
        check_input("VGG", x, 2 ** len(self.stages))
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        features: dict[str, jax.Array] = {}
        for stage in self.stages:
            for channels in stage:
                name = f"conv{len(features) + 1}"
                x = self.algebra.conv(channels, 3, padding=1, name=name, **types)(x)
                x = features[name] = nn.relu(x)
            x = max_pool(x, (2, 2))
        if self.pool is not None:
            x = adaptive_average_pool(x, self.pool, self.pool)
        x = self.algebra.flatten(x)
        for index in (1, 2):
            x = self.algebra.dense(self.hidden, name=f"dense{index}", **types)(x)
            x = nn.Dropout(self.dropout_rate, deterministic=not train)(nn.relu(x))
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(x)
        return logits.astype(jnp.float32), features
