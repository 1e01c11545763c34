"""Several runs of one network as one program: folds and seeds side by side.

Whatever a step changes has a first axis of runs; the waveforms are there once. A run is computed
as by itself: its own weights, batches, random numbers and learning rate, and the step of
`serjax.training.training_step`, which knows nothing of the others. What remains is how the runs
share a device, which is the engine's name:

- "vmap": all at once, as a further axis of every operation. Convolutions with a kernel for each
  run become grouped ones.
- "scan": one after the other, in a loop of the device. A run without examples takes no time.

Where there are several devices, runs are spread over them first.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from serjax.errors import InputError, unknown_name
from serjax.training.devices import multi_step
from serjax.training.devices.batch_sharding import SINGLE_DEVICE
from serjax.training.state import TrainState
from serjax.training.step import StepResult, TrainStep

ENGINES = ("vmap", "scan")
_AXIS = "runs"


def over_runs(function: Callable[..., Any], engine: str) -> Callable[..., Any]:
    """The same function of several runs.

    Args:
        function: `function(own, shared)` of one run.
        engine: One of `ENGINES`.

    Returns:
        What takes `own` with a first axis of runs, and gives results that have it.
    """

    def together(own: Any, shared: Any) -> Any:
        if len(jax.tree.leaves(own)[0]) == 1:  # as compiled by itself, without loop or groups
            found = function(jax.tree.map(lambda x: x[0], own), shared)
            return jax.tree.map(lambda x: x[None], found)
        if engine == "vmap":
            return jax.vmap(function, in_axes=(0, None))(own, shared)
        return jax.lax.map(lambda each: function(each, shared), own)

    return together


@dataclasses.dataclass(frozen=True)
class Together:
    """How runs are computed together.

    Attributes:
        engine: One of `ENGINES`, how the runs of a device share it.
        count: Runs.
        devices: Over which they are spread; more than runs are not used.
    """

    engine: str
    count: int
    devices: tuple[jax.Device, ...] = dataclasses.field(
        default_factory=lambda: tuple(jax.local_devices())
    )

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise InputError(unknown_name("engine", self.engine, ENGINES))
        object.__setattr__(self, "devices", self.devices[: self.count])

    @property
    def rows(self) -> int:
        """Length of the axis of runs: as many on every device, the last ones may be idle."""
        return -(-self.count // len(self.devices)) * len(self.devices)

    def describe(self) -> str:
        """In words, behind a number of runs."""
        each, devices = self.rows // len(self.devices), len(self.devices)
        how = f"{self.engine} of {each} runs" if each > 1 else "1 run"
        return f"{how} on each of {devices} devices" if devices > 1 else how

    def _sharding(self, *axes: str) -> NamedSharding:
        return NamedSharding(Mesh(np.array(self.devices), (_AXIS,)), PartitionSpec(*axes))

    def split_sharding(self) -> NamedSharding:
        """Of arrays that have the axis of runs first."""
        return self._sharding(_AXIS)

    def replicate(self, tree: Any) -> Any:
        """Puts what runs share on every device."""
        return jax.device_put(tree, self._sharding())

    def spread(self, tree: Any) -> Any:
        """Puts a tree `[count, ...]` of the runs' arrays on the devices as `[rows, ...]`."""
        idle = self.rows - self.count
        if idle:  # they must hold something
            tree = jax.tree.map(lambda x: jnp.concatenate([x, jnp.repeat(x[:1], idle, 0)]), tree)
        return jax.device_put(tree, self.split_sharding())

    def stack(self, trees: Sequence[Any]) -> Any:
        """The same of a tree for each run."""
        return self.spread(jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees))

    def gather(self, tree: Any) -> Any:
        """What `spread` was given, on the host."""
        return jax.tree.map(lambda x: x[: self.count], jax.device_get(tree))

    def place(self, indices: np.ndarray) -> jax.Array:
        """Puts indices `[count, ...]` on the devices as `[rows, ...]`, idle rows as -1."""
        idle = ((0, self.rows - len(indices)), *[(0, 0)] * (indices.ndim - 1))
        return jax.device_put(np.pad(indices, idle, constant_values=-1), self.split_sharding())

    def compile_step(
        self, make_step: Callable[[jax.Array, jax.Array], TrainStep], scan_steps: int = 1
    ) -> jax.stages.Wrapped:
        """Makes `step(states, examples, indices, keys) -> (states, results)`, one program.

        The states are donated. `indices` `[rows, scan_steps, batch]` are as `place` gives them;
        a batch without examples leaves its run as it was. `keys` `[rows]` are those of the runs'
        steps. Results are `[rows, scan_steps, ...]`, zero for a batch without examples.

        Args:
            make_step: Number of a run and its key -> its step, not compiled.
            scan_steps: Batches of a call.
        """

        def one(own: Any, examples: Any) -> tuple[TrainState, StepResult]:
            number, key, state, indices = own
            step = make_step(number, key)
            filled = jnp.any(indices >= 0)
            if self.engine == "scan":  # elsewhere there is nothing to be left out
                like = jax.eval_shape(step, state, examples, indices)[1]
                nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)
                compute = functools.partial(step, state, examples, indices)
                return jax.lax.cond(filled, compute, lambda: (state, nothing))
            moved, result = step(state, examples, indices)
            return (
                jax.tree.map(lambda new, old: jnp.where(filled, new, old), moved, state),
                jax.tree.map(lambda x: jnp.where(filled, x, jnp.zeros_like(x)), result),
            )

        every = over_runs(one, self.engine)

        def steps(numbers: Any, keys: Any, states: Any, examples: Any, indices: Any) -> Any:
            local, _, batch_size = indices.shape

            def step(states: Any, examples: Any, row: Any, _: Any = None) -> Any:
                return every((numbers, keys, states, row.reshape(local, batch_size)), examples)

            if scan_steps == 1:
                states, results = step(states, examples, indices)
                return states, jax.tree.map(lambda x: x[:, None], results)
            in_blocks = multi_step.in_blocks(step, scan_steps, SINGLE_DEVICE)
            states, results = in_blocks(states, examples, jnp.moveaxis(indices, 1, 0))
            return states, jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), results)

        split, whole = PartitionSpec(_AXIS), PartitionSpec()
        sharded = jax.shard_map(
            steps,
            mesh=self.split_sharding().mesh,
            in_specs=(split, split, split, whole, split),
            out_specs=split,
            check_vma=False,
        )

        def program(states: Any, examples: Any, indices: Any, keys: Any) -> Any:
            numbers = jnp.arange(self.rows, dtype=jnp.int32)
            return sharded(numbers, keys, states, examples, indices)

        return jax.jit(program, donate_argnums=0, out_shardings=self.split_sharding())

    def compile_evaluation(self, step: Callable[..., jax.Array]) -> jax.stages.Wrapped:
        """Makes one program of `step(variables, samples, start, length, size)` of every run.

        Args:
            step: Of one run. All but `samples` and `size` have the axis of runs first; `size` is
                static.
        """

        def whole(variables: Any, samples: Any, start: Any, length: Any, size: int) -> jax.Array:
            def one(own: Any, samples: Any) -> jax.Array:
                variables, start, length = own
                return step(variables, samples, start, length, size)

            split = PartitionSpec(_AXIS)
            found: jax.Array = jax.shard_map(
                over_runs(one, self.engine),
                mesh=self.split_sharding().mesh,
                in_specs=(split, PartitionSpec()),
                out_specs=split,
                check_vma=False,
            )((variables, start, length), samples)
            return found

        return jax.jit(whole, static_argnums=4)
