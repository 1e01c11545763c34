"""VGG networks of Simonyan & Zisserman (2015), over any algebra."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from serjax.layers import HEAD_INIT, REAL, Algebra, adaptive_average_pool, max_pool
from serjax.models.common import check_input

# Configurations A, B, D and E of the paper's Table 1.
VGG11_STAGES = ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2)
VGG13_STAGES = ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2)
VGG16_STAGES = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
VGG19_STAGES = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)


class VGG(nn.Module):
    """VGG network. By default, its first dense layer takes the flattened last feature map.

    Guizzo et al. (2023), section 3.1: torchvision's VGG16 without its adaptive average pooling.
    `pool=7` restores the pooling; for inputs of 224 x 224 both are the same. The real network on
    512 x 128 flattens 16 x 4 x 512 = 32768 values and has 165.7 M parameters; the quaternion
    network on a 64 x 64 embedding flattens 2048 values and has 10.0 M. The last layer is real in
    every algebra. He's initialization applies to all layers, where torchvision samples dense layers
    with a fixed deviation of 0.01. The input has any size of at least 32 x 32; without `pool`,
    trained variables fit one size only.

    Its features are `conv1`, `conv2` and so on, each after its ReLU.

    Attributes:
        num_classes: Number of classes.
        algebra: Algebra of all layers except the last.
        stages: Channels of the convolutions; a 2 x 2 max pooling ends each stage.
        pool: Frames and bins after an adaptive average pooling before the dense layers, which then
            fit every input size; None for no adaptive pooling.
        hidden: Width of the two hidden dense layers.
        dropout_rate: Dropout rate after each hidden dense layer.
        dtype: Type of the arithmetic; logits are float32.
        param_dtype: Type of the stored parameters.
    """

    num_classes: int
    algebra: Algebra = REAL
    stages: Sequence[Sequence[int]] = VGG16_STAGES
    pool: int | None = None
    hidden: int = 4096
    dropout_rate: float = 0.5
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Computes logits and activations.

        Args:
            x: Input `[batch, frames, bins, channels]`, zero-padded as in the paper.
            train: Whether the network trains: dropout is active.
            mask: Ignored, as padding is part of the input.

        Returns:
            Logits `[batch, classes]` float32, and features by name.

        Raises:
            InputError: The input is smaller than 2^n x 2^n for n stages, 32 x 32 by default.
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
