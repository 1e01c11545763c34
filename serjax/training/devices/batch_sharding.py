"""A batch in parts: over devices, in space, and over micro-batches, in time.

A training step is written for one part of its batch. The parts' gradients and sums add up to those
of the batch, for every term is divided by the number of real examples of the whole batch. Random
numbers of an example follow from its place in the batch. So the numbers of a step are those of the
undivided one, within rounding, whichever devices and micro-batches it is divided into. The
exceptions are batch norms: over micro-batches always, over devices where they are not synchronized,
a part is normalized by its own statistics.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from serjax.errors import InputError
from serjax.training.devices.shard import Part

KINDS = ("none", "shard_map", "pmap")
_AXIS = "data"


def put(tree: Any, sharding: Sharding) -> Any:
    """Puts a tree of arrays, the same in every process, where a sharding says."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def whole(x: Any) -> jax.Array:
        x = np.asarray(x)
        places = sharding.addressable_devices_indices_map(x.shape)
        mine = [jax.device_put(x[index], device) for device, index in places.items()]
        return jax.make_array_from_single_device_arrays(x.shape, sharding, mine)

    return jax.tree.map(whole, tree)


def _together(tree: Any, other: Any) -> Any:
    """Sums of numbers; of truth values, whether both are true."""
    return jax.tree.map(lambda a, b: a & b if a.dtype == bool else a + b, tree, other)


def _over_devices(tree: Any) -> Any:
    """The same over the devices."""

    def total(x: jax.Array) -> jax.Array:
        if x.dtype == bool:
            return jax.lax.pmin(x.astype(jnp.int32), _AXIS) > 0
        return jax.lax.psum(x, _AXIS)

    return jax.tree.map(total, tree)


@dataclasses.dataclass(frozen=True)
class BatchSharding:
    """How a batch is divided.

    Attributes:
        kind: "none": on one device; "shard_map": `jax.shard_map` on a mesh of all devices, under
            `jax.jit`; "pmap": `jax.pmap`. Both give the same numbers.
        devices: One for "none".
        accumulate: Micro-batches, one after the other. Batch norms normalize each by itself, and
            their running statistics move once for each.
        sync_batch_norm: Whether batch norms take the statistics of all devices' examples. If not,
            each device's are its own, and the running ones the mean by real examples.
        streamed: Whether a call brings the samples it is about, every device its own part's, in
            arrays with a first axis of devices, instead of all lying whole on every device.
    """

    kind: str = "none"
    devices: tuple[jax.Device, ...] = ()
    accumulate: int = 1
    sync_batch_norm: bool = True
    streamed: bool = False

    @property
    def axis(self) -> str | None:
        """Name of the axis of devices, None without one."""
        return None if self.kind == "none" else _AXIS

    @property
    def device_count(self) -> int:
        """Devices that share a batch."""
        return 1 if self.kind == "none" else len(self.devices)

    def describe(self) -> str:
        """How it divides, behind what is said of a step; empty where it does not."""
        over = f" on each of {self.device_count} devices, {self.kind}" if self.axis else ""
        over += f", {self.accumulate} micro-batches" if self.accumulate > 1 else ""
        return over + (", waveforms streamed" if self.streamed else "")

    def _mesh(self) -> jax.sharding.Mesh:
        return jax.sharding.Mesh(np.array(self.devices), (_AXIS,))

    def _sharding(self, *axes: str) -> Sharding:
        if self.kind == "none":
            return SingleDeviceSharding(self.devices[0] if self.devices else jax.devices()[0])
        return NamedSharding(self._mesh(), PartitionSpec(*axes))

    def replicate(self, tree: Any) -> Any:
        """Puts a tree of arrays on every device, whole."""
        return put(tree, self._sharding())

    def split_sharding(self) -> Sharding:
        """Of arrays whose first axis is divided over the devices."""
        return self._sharding(_AXIS)

    def parts(self, indices: np.ndarray) -> np.ndarray:
        """Divides a batch's indices over the devices.

        Args:
            indices: `[batch]`, or of several steps `[steps, batch]`.

        Returns:
            `[devices, batch / devices]` or `[devices, steps, batch / devices]`. Micro-batches are
            stretches of the batch, and a device has a stretch of each, so that they hold the same
            examples on any number of devices.
        """
        *steps, batch_size = indices.shape
        parts = indices.reshape(*steps, self.accumulate, self.device_count, -1)
        shape = (self.device_count, *steps, batch_size // self.device_count)
        return np.moveaxis(parts, -2, 0).reshape(shape)

    def split(self, indices: np.ndarray) -> jax.Array:
        """Puts the `parts` of a batch's indices where a step reads them."""
        return put(self.parts(indices), self.split_sharding())

    @property
    def own(self) -> list[int]:
        """Which of the devices are this process's."""
        if self.kind == "none":
            return [0]
        mine = jax.process_index()
        return [i for i, device in enumerate(self.devices) if device.process_index == mine]

    def split_own(self, tree: Any) -> Any:
        """Puts arrays on this process's devices, their first axis that of `own`."""
        sharding = self.split_sharding()
        if sharding.is_fully_addressable:
            return jax.device_put(tree, sharding)

        def whole(x: np.ndarray) -> jax.Array:
            shape = (self.device_count, *x.shape[1:])
            mine = [
                jax.device_put(row[None], self.devices[device])
                for row, device in zip(x, self.own, strict=True)
            ]
            return jax.make_array_from_single_device_arrays(shape, sharding, mine)

        return jax.tree.map(whole, tree)

    def abstract_batch(self, batch_size: int, steps: int = 1) -> jax.ShapeDtypeStruct:
        """Shape, dtype and place of what `split` gives."""
        block = (steps,) if steps > 1 else ()
        shape = (self.device_count, *block, batch_size // self.device_count)
        return jax.ShapeDtypeStruct(shape, np.int32, sharding=self.split_sharding())

    def check(self, batch_size: int) -> None:
        """Raises InputError for a batch that cannot be divided evenly."""
        if batch_size % (self.device_count * self.accumulate):
            raise InputError(
                f"batch_size: expected a multiple of {self.device_count * self.accumulate}, for "
                f"{self.device_count} devices and {self.accumulate} micro-batches, found "
                f"{batch_size}; or use --parallel none and --accumulate 1"
            )

    def sum_over_shards(
        self,
        of_part: Callable[[Any, jax.Array, Part], tuple[Any, Any]],
        stats: Any,
        indices: jax.Array,
    ) -> tuple[Any, Any]:
        """Computes the parts of a batch, and the sums over them.

        Args:
            of_part: `of_part(stats, indices, part) -> (stats, sums)`. `sums` is a tree of numbers,
                which are added, and of truth values, which are true where all are.
            stats: Running statistics before the batch.
            indices: int32, those of the batch that are this device's; -1 is an empty entry.

        Returns:
            Running statistics after the batch, and sums, the same on every device.
        """
        indices = indices.reshape(self.accumulate, -1)
        micro = indices.shape[1]
        own_weight = jnp.sum(indices >= 0, dtype=jnp.float32)
        weight = own_weight if self.axis is None else jax.lax.psum(own_weight, self.axis)
        device = jnp.int32(0) if self.axis is None else jax.lax.axis_index(self.axis)
        synchronized = self.axis if self.sync_batch_norm else None

        def run(stats: Any, number: jax.Array, indices: jax.Array) -> tuple[Any, Any]:
            first = (number * self.device_count + device) * micro
            whole = micro * self.device_count * self.accumulate
            part = Part(first, jnp.maximum(weight, 1.0), whole, synchronized)
            return of_part(stats, indices, part)

        if self.accumulate == 1:
            stats, sums = run(stats, jnp.int32(0), indices[0])
        else:

            def add(carry: tuple[Any, Any], part: tuple[jax.Array, jax.Array]) -> Any:
                stats, sums = run(carry[0], *part)
                return (stats, _together(carry[1], sums)), None

            numbers = jnp.arange(self.accumulate, dtype=jnp.int32)
            like = jax.eval_shape(run, stats, numbers[0], indices[0])[1]
            nothing = jax.tree.map(lambda x: jnp.full(x.shape, x.dtype == bool, x.dtype), like)
            (stats, sums), _ = jax.lax.scan(add, (stats, nothing), (numbers, indices))
        if self.axis is None:
            return stats, sums
        if synchronized is None:
            share = own_weight / jnp.maximum(weight, 1.0)
            stats = _over_devices(jax.tree.map(lambda x: x * share.astype(x.dtype), stats))
        return stats, _over_devices(sums)

    def filled(self, indices: jax.Array) -> jax.Array:
        """How many of these steps have any example, on whichever device; the first ones do.

        Args:
            indices: `[steps, n]`, those that are this device's; -1 is an empty entry.
        """
        some = jnp.any(indices >= 0, axis=1).astype(jnp.int32)
        some = some if self.axis is None else jax.lax.psum(some, self.axis)
        return jnp.sum(some > 0, dtype=jnp.int32)

    def compile_step(self, step: Callable[..., Any]) -> jax.stages.Wrapped:
        """Makes one program of `step(state, examples, indices, references)`, on all devices.

        Args:
            step: Written for one device, its results the same on every one. The state is donated;
                the indices are what `split` gives, and so are the examples if they are streamed.
        """
        if self.kind == "none":
            return jax.jit(self._of_own(step, 1), donate_argnums=0)
        if self.kind == "pmap":
            return jax.pmap(
                step,
                _AXIS,
                in_axes=(None, 0 if self.streamed else None, 0, None),
                out_axes=None,
                devices=self.devices,
                donate_argnums=0,
            )
        everywhere, split = PartitionSpec(), PartitionSpec(_AXIS)
        sharded = jax.shard_map(
            self._of_own(step, 1),
            mesh=self._mesh(),
            in_specs=(everywhere, split if self.streamed else everywhere, split, everywhere),
            out_specs=everywhere,
            check_vma=False,
        )
        return jax.jit(sharded, donate_argnums=0)

    def _of_own(self, step: Callable[..., Any], *divided: int) -> Callable[..., Any]:
        """The step of what a device is given, without the axis of devices of what is streamed."""
        if not self.streamed:
            return step

        @functools.wraps(step)
        def of_own(*arguments: Any, **options: Any) -> Any:
            mine = list(arguments)
            for place in divided:
                mine[place] = jax.tree.map(lambda x: x[0], mine[place])
            return step(*mine, **options)

        return of_own

    def compile_evaluation(self, step: Callable[..., jax.Array]) -> jax.stages.Wrapped:
        """Makes one program of `step(variables, samples, start, length, size)`, on all devices.

        Args:
            step: Written for one device. `start` and `length` are divided along their first axis,
                the results put together on every device; `size` is static. If samples are streamed,
                they are divided, with `start` and `length` `[devices, batch / devices]`.
        """
        step = self._of_own(step, 1, 2, 3)
        if self.kind == "none":
            return jax.jit(step, static_argnums=4)

        @functools.partial(jax.jit, static_argnums=4)
        def whole(variables: Any, samples: Any, start: Any, length: Any, size: int) -> jax.Array:
            def together(*arguments: Any) -> jax.Array:
                return jax.lax.all_gather(step(*arguments, size=size), _AXIS, tiled=True)

            everywhere, split = PartitionSpec(), PartitionSpec(_AXIS)
            return jax.shard_map(
                together,
                mesh=self._mesh(),
                in_specs=(everywhere, split if self.streamed else everywhere, split, split),
                out_specs=everywhere,
                check_vma=False,
            )(variables, samples, start, length)

        return whole


SINGLE_DEVICE = BatchSharding()


def divide(
    kind: str | None,
    batch_size: int,
    accumulate: int = 1,
    sync_batch_norm: bool = True,
    *,
    streamed: bool = False,
) -> BatchSharding:
    """The division of batches over the devices that are there, of all processes.

    Args:
        kind: One of `KINDS`, on all devices; None: "shard_map" on as many devices as divide the
            batch evenly, as many of each process, "none" on one. Of several processes, only
            "shard_map".
        batch_size: Entries of a batch.
        accumulate: See `BatchSharding`.
        sync_batch_norm: See `BatchSharding`.
        streamed: See `BatchSharding`.

    Raises:
        InputError: The batch cannot be divided evenly.
    """
    devices, processes = tuple(jax.devices()), jax.process_count()
    if processes > 1 and kind in ("none", "pmap"):
        raise InputError(f"parallel: expected shard_map in {processes} processes, found {kind}")
    if kind is None:
        shares = range(jax.local_device_count(), 0, -1)
        share = next((n for n in shares if batch_size % (n * processes * accumulate) == 0), 1)
        first = {i: min(d.id for d in devices if d.process_index == i) for i in range(processes)}
        devices = tuple(d for d in devices if d.id < first[d.process_index] + share)
        kind = "none" if len(devices) == 1 else "shard_map"
    devices = devices[:1] if kind == "none" else devices
    division = BatchSharding(kind, devices, accumulate, sync_batch_norm, streamed)
    division.check(batch_size)
    return division
