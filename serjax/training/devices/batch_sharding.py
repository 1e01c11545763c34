"""Distribution of a training batch over devices (shards) and over time (micro-batches).

A training step is written for one shard of its batch. The gradients and sums of the shards add up
to those of the batch, because every term is divided by the number of valid examples of the whole
batch, and the random numbers of an example follow from its position in the batch. The result of a
step is therefore the same, within rounding, for any number of devices and micro-batches. Batch
norms are the exception: over micro-batches always, and over devices if they are not synchronized,
each shard is normalized by its own statistics.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from jaxtyping import PyTree

from serjax.errors import InputError
from serjax.models.variables import Variables
from serjax.training.devices.shard import Shard

KINDS = ("none", "shard_map", "pmap")
"""Kinds of data parallelism."""

_AXIS = "data"


def put(tree: PyTree, sharding: Sharding) -> PyTree:
    """Puts a tree of arrays, equal in all processes, on devices.

    Args:
        tree: Tree of arrays.
        sharding: Sharding of every array of the tree.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def put_array(x: Any) -> jax.Array:
        x = np.asarray(x)
        indices = sharding.addressable_devices_indices_map(x.shape)
        local = [jax.device_put(x[index], device) for device, index in indices.items()]
        return jax.make_array_from_single_device_arrays(x.shape, sharding, local)

    return jax.tree.map(put_array, tree)


def _combine(tree: PyTree, other: PyTree) -> PyTree:
    """Adds the numbers of two trees and joins their truth values by `and`."""
    return jax.tree.map(lambda a, b: a & b if a.dtype == bool else a + b, tree, other)


def _combine_devices(tree: PyTree) -> PyTree:
    """Adds the numbers of all devices and joins their truth values by `and`."""

    def total(x: jax.Array) -> jax.Array:
        if x.dtype == bool:
            return jax.lax.pmin(x.astype(jnp.int32), _AXIS) > 0
        return jax.lax.psum(x, _AXIS)

    return jax.tree.map(total, tree)


@dataclasses.dataclass(frozen=True)
class BatchSharding:
    """Distribution of a batch over devices and micro-batches.

    Attributes:
        kind: "none": one device; "shard_map": `jax.shard_map` on a mesh of all devices, under
            `jax.jit`; "pmap": `jax.pmap`. Results are the same.
        devices: Devices; one for "none".
        accumulate: Number of micro-batches, which are computed one after the other. Batch norms
            normalize each of them by its own statistics and update the running ones once for each.
        sync_batch_norm: True: batch norms use the statistics of the examples of all devices. False:
            each device uses its own, and the running ones are their mean, weighted by the number of
            valid examples.
        streamed: True: each call of the step receives the samples that it needs, in arrays with a
            first axis of devices. False: all samples lie on every device.
    """

    kind: str = "none"
    devices: tuple[jax.Device, ...] = ()
    accumulate: int = 1
    sync_batch_norm: bool = True
    streamed: bool = False

    @property
    def axis(self) -> str | None:
        """Name of the axis of devices; None for one device."""
        return None if self.kind == "none" else _AXIS

    @property
    def device_count(self) -> int:
        """Number of devices that share a batch."""
        return 1 if self.kind == "none" else len(self.devices)

    def describe(self) -> str:
        """Returns the end of a line about the step; empty for a batch that is not sharded."""
        text = f" on each of {self.device_count} devices, {self.kind}" if self.axis else ""
        text += f", {self.accumulate} micro-batches" if self.accumulate > 1 else ""
        return text + (", waveforms streamed" if self.streamed else "")

    def _mesh(self) -> jax.sharding.Mesh:
        return jax.sharding.Mesh(np.array(self.devices), (_AXIS,))

    def _sharding(self, *axes: str) -> Sharding:
        if self.kind == "none":
            return SingleDeviceSharding(self.devices[0] if self.devices else jax.devices()[0])
        return NamedSharding(self._mesh(), PartitionSpec(*axes))

    def replicate(self, tree: PyTree) -> PyTree:
        """Puts a whole tree of arrays on every device."""
        return put(tree, self._sharding())

    def first_axis_sharding(self) -> Sharding:
        """Returns the sharding of arrays whose first axis is distributed over the devices."""
        return self._sharding(_AXIS)

    def shard_indices(self, indices: np.ndarray) -> np.ndarray:
        """Distributes the indices of a batch over the devices.

        Micro-batches are contiguous in the batch, and each device has a contiguous shard of each of
        them, so that they hold the same examples on any number of devices.

        Args:
            indices: Indices `[batch]`, or `[steps, batch]` for several steps.

        Returns:
            `[devices, batch / devices]` or `[devices, steps, batch / devices]`.
        """
        *steps, batch_size = indices.shape
        shards = indices.reshape(*steps, self.accumulate, self.device_count, -1)
        shape = (self.device_count, *steps, batch_size // self.device_count)
        return np.moveaxis(shards, -2, 0).reshape(shape)

    def put_indices(self, indices: np.ndarray) -> jax.Array:
        """Puts each device's indices of a batch, see `shard_indices`, on that device."""
        return put(self.shard_indices(indices), self.first_axis_sharding())

    @property
    def local_devices(self) -> list[int]:
        """Positions in `devices` of the devices of this process."""
        if self.kind == "none":
            return [0]
        process = jax.process_index()
        return [i for i, device in enumerate(self.devices) if device.process_index == process]

    def put_local(self, tree: PyTree) -> PyTree:
        """Puts arrays on the devices of this process.

        Args:
            tree: Tree of arrays whose first axis is that of `local_devices`.

        Returns:
            Tree of arrays whose first axis is that of all devices.
        """
        sharding = self.first_axis_sharding()
        if sharding.is_fully_addressable:
            return jax.device_put(tree, sharding)

        def put_array(x: np.ndarray) -> jax.Array:
            shape = (self.device_count, *x.shape[1:])
            local = [
                jax.device_put(row[None], self.devices[device])
                for row, device in zip(x, self.local_devices, strict=True)
            ]
            return jax.make_array_from_single_device_arrays(shape, sharding, local)

        return jax.tree.map(put_array, tree)

    def abstract_batch(self, batch_size: int, steps: int = 1) -> jax.ShapeDtypeStruct:
        """Returns shape, dtype and sharding of the result of `put_indices`."""
        leading = (steps,) if steps > 1 else ()
        shape = (self.device_count, *leading, batch_size // self.device_count)
        return jax.ShapeDtypeStruct(shape, np.int32, sharding=self.first_axis_sharding())

    def check(self, batch_size: int) -> None:
        """Checks that a batch can be distributed evenly.

        Raises:
            InputError: It cannot.
        """
        if batch_size % (self.device_count * self.accumulate):
            raise InputError(
                f"batch_size: expected a multiple of {self.device_count * self.accumulate}, for "
                f"{self.device_count} devices and {self.accumulate} micro-batches, found "
                f"{batch_size}; or use --parallel none and --accumulate 1"
            )

    def sum_over_shards(
        self,
        shard_step: Callable[[PyTree, jax.Array, Shard], tuple[PyTree, PyTree]],
        stats: PyTree,
        indices: jax.Array,
    ) -> tuple[PyTree, PyTree]:
        """Computes the shards of a batch and sums over them.

        Args:
            shard_step: `shard_step(stats, indices, shard) -> (stats, sums)`. `sums` is a tree of
                numbers, which are added, and of truth values, which are joined by `and`.
            stats: Running statistics before the batch.
            indices: This device's indices of the batch, int32; -1 is an empty entry.

        Returns:
            Running statistics after the batch, and sums, both equal on all devices.
        """
        indices = indices.reshape(self.accumulate, -1)
        micro_size = indices.shape[1]
        local_weight = jnp.sum(indices >= 0, dtype=jnp.float32)
        weight = local_weight if self.axis is None else jax.lax.psum(local_weight, self.axis)
        device = jnp.int32(0) if self.axis is None else jax.lax.axis_index(self.axis)
        sync_axis = self.axis if self.sync_batch_norm else None

        def run(stats: PyTree, number: jax.Array, indices: jax.Array) -> tuple[PyTree, PyTree]:
            first = (number * self.device_count + device) * micro_size
            batch_size = micro_size * self.device_count * self.accumulate
            shard = Shard(first, jnp.maximum(weight, 1.0), batch_size, sync_axis)
            return shard_step(stats, indices, shard)

        if self.accumulate == 1:
            stats, sums = run(stats, jnp.int32(0), indices[0])
        else:

            def add(carry: tuple[PyTree, PyTree], micro: tuple[jax.Array, jax.Array]) -> Any:
                stats, sums = run(carry[0], *micro)
                return (stats, _combine(carry[1], sums)), None

            numbers = jnp.arange(self.accumulate, dtype=jnp.int32)
            like = jax.eval_shape(run, stats, numbers[0], indices[0])[1]
            zeros = jax.tree.map(lambda x: jnp.full(x.shape, x.dtype == bool, x.dtype), like)
            (stats, sums), _ = jax.lax.scan(add, (stats, zeros), (numbers, indices))
        if self.axis is None:
            return stats, sums
        if sync_axis is None:
            fraction = local_weight / jnp.maximum(weight, 1.0)
            stats = _combine_devices(jax.tree.map(lambda x: x * fraction.astype(x.dtype), stats))
        return stats, _combine_devices(sums)

    def count_filled_steps(self, indices: jax.Array) -> jax.Array:
        """Counts the steps that have an example on some device; they come first.

        Args:
            indices: This device's indices `[steps, n]`; -1 is an empty entry.
        """
        is_filled = jnp.any(indices >= 0, axis=1).astype(jnp.int32)
        is_filled = is_filled if self.axis is None else jax.lax.psum(is_filled, self.axis)
        return jnp.sum(is_filled > 0, dtype=jnp.int32)

    def compile_step(self, step: Callable[..., Any]) -> jax.stages.Wrapped:
        """Makes one program of a training step on all devices.

        Args:
            step: `step(state, examples, indices, arrays)`, written for one device, with results
                that are equal on all devices. The state is donated. The indices are the result of
                `put_indices`, and streamed examples that of `put_local`.
        """
        if self.kind == "none":
            return jax.jit(self._without_device_axis(step, 1), donate_argnums=0)
        if self.kind == "pmap":
            return jax.pmap(
                step,
                _AXIS,
                in_axes=(None, 0 if self.streamed else None, 0, None),
                out_axes=None,
                devices=self.devices,
                donate_argnums=0,
            )
        replicated, sharded = PartitionSpec(), PartitionSpec(_AXIS)
        mapped = jax.shard_map(
            self._without_device_axis(step, 1),
            mesh=self._mesh(),
            in_specs=(replicated, sharded if self.streamed else replicated, sharded, replicated),
            out_specs=replicated,
            check_vma=False,
        )
        return jax.jit(mapped, donate_argnums=0)

    def _without_device_axis(self, step: Callable[..., Any], *positions: int) -> Callable[..., Any]:
        """Removes the first axis, that of one device, from streamed arguments at some positions."""
        if not self.streamed:
            return step

        @functools.wraps(step)
        def unstacked(*arguments: Any, **options: Any) -> Any:
            local = list(arguments)
            for position in positions:
                local[position] = jax.tree.map(lambda x: x[0], local[position])
            return step(*local, **options)

        return unstacked

    def compile_evaluation(self, step: Callable[..., jax.Array]) -> jax.stages.Wrapped:
        """Makes one program of an evaluation step on all devices.

        Args:
            step: `step(variables, samples, start, length, size)`, written for one device. `start`
                and `length` are distributed along their first axis, and the results are gathered on
                every device; `size` is static. Streamed samples are distributed, with `start` and
                `length` `[devices, batch / devices]`.
        """
        step = self._without_device_axis(step, 1, 2, 3)
        if self.kind == "none":
            return jax.jit(step, static_argnums=4)

        @functools.partial(jax.jit, static_argnums=4)
        def evaluate(
            variables: Variables, samples: PyTree, start: jax.Array, length: jax.Array, size: int
        ) -> jax.Array:
            def gathered(*arguments: Any) -> jax.Array:
                return jax.lax.all_gather(step(*arguments, size=size), _AXIS, tiled=True)

            replicated, sharded = PartitionSpec(), PartitionSpec(_AXIS)
            return jax.shard_map(
                gathered,
                mesh=self._mesh(),
                in_specs=(replicated, sharded if self.streamed else replicated, sharded, sharded),
                out_specs=replicated,
                check_vma=False,
            )(variables, samples, start, length)

        return evaluate


SINGLE_DEVICE = BatchSharding()
"""Batches that lie on one device."""


def shard_batches(
    kind: str | None,
    batch_size: int,
    accumulate: int = 1,
    sync_batch_norm: bool = True,
    *,
    streamed: bool = False,
) -> BatchSharding:
    """Chooses the distribution of batches over the available devices of all processes.

    Args:
        kind: One of `KINDS`, over all devices; None: "shard_map" over the largest number of
            devices, the same in every process, that divides the batch evenly, or "none" if that is
            one. Several processes need "shard_map".
        batch_size: Entries of a batch.
        accumulate: Number of micro-batches, see `BatchSharding`.
        sync_batch_norm: Synchronization of batch norms, see `BatchSharding`.
        streamed: Streaming of samples, see `BatchSharding`.

    Raises:
        InputError: The batch cannot be distributed evenly, or the kind does not work with several
            processes.
    """
    devices, processes = tuple(jax.devices()), jax.process_count()
    if processes > 1 and kind in ("none", "pmap"):
        raise InputError(f"parallel: expected shard_map in {processes} processes, found {kind}")
    if kind is None:
        counts = range(jax.local_device_count(), 0, -1)
        count = next((n for n in counts if batch_size % (n * processes * accumulate) == 0), 1)
        first = {i: min(d.id for d in devices if d.process_index == i) for i in range(processes)}
        devices = tuple(d for d in devices if d.id < first[d.process_index] + count)
        kind = "none" if len(devices) == 1 else "shard_map"
    devices = devices[:1] if kind == "none" else devices
    sharding = BatchSharding(kind, devices, accumulate, sync_batch_norm, streamed)
    sharding.check(batch_size)
    return sharding
