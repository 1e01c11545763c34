"""Shard of a batch, whose layers use the statistics and random numbers of the whole batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from serjax.layers.batch_norm import HypercomplexBatchNorm


@flax.struct.dataclass
class Shard:
    """The examples of a batch that one device computes at once.

    Layers of these kinds give the results of the whole batch on a shard: `flax.linen.Dropout`,
    `flax.linen.BatchNorm`, and batch norms with the fields `use_running_average` and `axis_name`.
    Other layers that sample random numbers or combine examples give results of the shard only.

    Attributes:
        first: Position of the first example in the batch, int32.
        batch_weight: Number of valid examples of the whole batch, at least 1.
        batch_size: Entries of the whole batch.
        sync_axis: Axis of devices over which batch norms synchronize their statistics, or None.
    """

    first: jax.Array
    batch_weight: jax.Array
    batch_size: int = flax.struct.field(pytree_node=False)
    sync_axis: str | None = flax.struct.field(pytree_node=False)

    def keys(self, key: jax.Array, count: int) -> jax.Array:
        """Returns a PRNG key for each example, by its position in the batch.

        Args:
            key: PRNG key of the batch.
            count: Entries of the shard.

        Returns:
            Keys `[count]`.
        """
        positions = self.first + jnp.arange(count, dtype=jnp.int32)
        return jax.vmap(jax.random.fold_in, (None, 0))(key, positions)

    def normalized_weight(self, weight: jax.Array) -> jax.Array:
        """Returns the number of valid examples whose statistics the shard's batch norms use.

        Args:
            weight: Weights `[count]` of the shard's examples, 1.0 or, for an empty entry, 0.0.
        """
        total = jnp.sum(weight)
        return total if self.sync_axis is None else jax.lax.psum(total, self.sync_axis)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Makes layers within the context use the statistics and masks of the whole batch."""
        with nn.intercept_methods(self._intercept):
            yield

    def _intercept(
        self,
        call: Callable[..., Any],
        args: Any,
        kwargs: Any,
        context: nn.module.InterceptorContext,
    ) -> Any:
        layer = context.module
        scope: Any = layer.scope
        if isinstance(layer, nn.Dropout) and len(args[0]) < self.batch_size:
            return self._dropout(layer, *args)
        is_batch_norm = getattr(layer, "use_running_average", None) is False
        if self.sync_axis is None or not is_batch_norm or layer.axis_name is not None:
            return call(*args, **kwargs)
        if isinstance(layer, nn.BatchNorm):
            # Flax's own takes the mean of the devices' means, which is wrong if masks differ.
            synchronized: nn.Module = HypercomplexBatchNorm(
                False,
                layer.momentum,
                layer.epsilon,
                layer.dtype,
                layer.param_dtype,
                axis_name=self.sync_axis,
                parent=scope,
            )
        else:
            synchronized = layer.clone(parent=scope, axis_name=self.sync_axis)
        return synchronized(*args, **kwargs)

    def _dropout(self, layer: nn.Dropout, x: jax.Array) -> jax.Array:
        """Applies Flax's dropout with this shard's rows of the mask of the whole batch."""
        if layer.deterministic or layer.rate == 0:
            return x
        keep_rate = 1.0 - layer.rate
        key = layer.make_rng(layer.rng_collection)
        mask = jax.random.bernoulli(key, keep_rate, (self.batch_size, *x.shape[1:]))
        mask = jax.lax.dynamic_slice_in_dim(mask, self.first, len(x))
        return jnp.where(mask, x / keep_rate, jnp.zeros_like(x))
