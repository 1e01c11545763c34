"""A part of a batch, whose layers see the statistics and random numbers of the whole."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from serjax.layers.batch_norm import HypercomplexBatchNorm


@flax.struct.dataclass
class Part:
    """The part of a batch that is computed at once on one device.

    Attributes:
        first: int32, place of its first example in the batch.
        batch_weight: Real examples of the whole batch, 1 at least.
        batch_size: Entries of the whole batch.
        synchronized: Axis over which batch norms take their statistics together, or None.
    """

    first: jax.Array
    batch_weight: jax.Array
    batch_size: int = flax.struct.field(pytree_node=False)
    synchronized: str | None = flax.struct.field(pytree_node=False)

    def keys(self, key: jax.Array, count: int) -> jax.Array:
        """A key for each of the part's examples, `[count]`, by its place in the batch."""
        places = self.first + jnp.arange(count, dtype=jnp.int32)
        return jax.vmap(jax.random.fold_in, (None, 0))(key, places)

    def normalized_weight(self, weight: jax.Array) -> jax.Array:
        """Real examples, from weights `[count]`, that the part's batch norms see."""
        total = jnp.sum(weight)
        return total if self.synchronized is None else jax.lax.psum(total, self.synchronized)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context, layers that couple or draw examples heed the whole batch."""
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
        batch_norm = getattr(layer, "use_running_average", None) is False
        if self.synchronized is None or not batch_norm or layer.axis_name is not None:
            return call(*args, **kwargs)
        if isinstance(layer, nn.BatchNorm):
            # Flax's own takes the mean of the devices' means, wrong where masks differ.
            twin: nn.Module = HypercomplexBatchNorm(
                False,
                layer.momentum,
                layer.epsilon,
                layer.dtype,
                layer.param_dtype,
                axis_name=self.synchronized,
                parent=scope,
            )
        else:
            twin = layer.clone(parent=scope, axis_name=self.synchronized)
        return twin(*args, **kwargs)

    def _dropout(self, layer: nn.Dropout, x: jax.Array) -> jax.Array:
        """As Flax's, by this part's rows of the whole batch's random numbers."""
        if layer.deterministic or layer.rate == 0:
            return x
        keep = 1.0 - layer.rate
        key = layer.make_rng(layer.rng_collection)
        drawn = jax.random.bernoulli(key, keep, (self.batch_size, *x.shape[1:]))
        mine = jax.lax.dynamic_slice_in_dim(drawn, self.first, len(x))
        return jnp.where(mine, x / keep, jnp.zeros_like(x))
