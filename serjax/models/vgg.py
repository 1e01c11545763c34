"""VGG networks (Simonyan & Zisserman, 2015) over any algebra."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.layers import HEAD_INIT, REAL, Algebra, max_pool

VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG(nn.Module):
    """VGG without adaptive pooling: the first dense layer takes all that the convolutions leave.

    Section 3.1 of Guizzo et al. 2023: torchvision's VGG16, the adaptive average pooling removed
    from the quaternion network. The real one on 512 x 128 leaves 16 x 4 x 512 = 32768 values and
    has 165.7 M parameters; the quaternion one on a 64 x 64 embedding leaves 2048 and has 10.0 M.
    The last layer is real in every algebra. Weights start by He's rule throughout, where
    torchvision gives dense layers a fixed deviation of 0.01.

    `features` of the result: `conv1` ... in order, each after its ReLU.

    Attributes:
        num_classes: Classes.
        algebra: Of all layers but the last.
        stages: Channels of the convolutions; a 2 x 2 max pooling ends each stage.
        hidden: Width of the two hidden dense layers.
        dropout_rate: After each hidden dense layer.
        dtype: Of the arithmetic; logits are float32.
        param_dtype: Of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    stages: Sequence[Sequence[int]] = VGG16_STAGES
    hidden: int = 4096
    dropout_rate: float = 0.5
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies `[batch, frames, bins, channels]` -> (logits `[batch, classes]`, features).

        The input has a fixed size, zero-padded as in the paper, so `mask` has nothing to say.
        """
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        features: dict[str, jax.Array] = {}
        for stage in self.stages:
            for channels in stage:
                name = f"conv{len(features) + 1}"
                x = self.algebra.conv(channels, 3, padding=1, name=name, **types)(x)
                x = features[name] = nn.relu(x)
            x = max_pool(x, (2, 2))
        x = self.algebra.flatten(x)
        for index in (1, 2):
            x = self.algebra.dense(self.hidden, name=f"dense{index}", **types)(x)
            x = nn.Dropout(self.dropout_rate, deterministic=not train)(nn.relu(x))
        logits = REAL.dense(self.num_classes, kernel_init=HEAD_INIT, name="head", **types)(x)
        return logits.astype(jnp.float32), features
