"""Several runs of one network as one program: the folds and seeds of a cross-validation.

Everything that a step changes has a first axis of runs; the waveforms are stored once. Each run has
its own weights, batches, random numbers and learning rate, and takes the step of
`serjax.training.training_step`, which knows nothing of the others. The runs of a device are
computed by one of two methods:

- "vmap": at once, by a further axis of every operation. Convolutions with a kernel for each run
  become grouped ones.
- "scan": one after the other, in a loop of the device. A run without examples takes no time.

With several devices, runs are distributed over them first.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from serjax.data.batches import Examples, Segments
from serjax.errors import InputError, unknown_name
from serjax.features.front_ends import FrontEnd
from serjax.models.variables import Variables
from serjax.training.devices import multi_step
from serjax.training.devices.batch_sharding import SINGLE_DEVICE
from serjax.training.evaluate import EvaluationPrograms, utterance_means
from serjax.training.objective.task_loss import class_probabilities
from serjax.training.state import TrainState
from serjax.training.step import StepResult, TrainStep

METHODS = ("vmap", "scan")
"""Methods by which one device computes several runs."""

_AXIS = "runs"


def _map_runs(function: Callable[..., Any], method: str) -> Callable[..., Any]:
    """Maps `function(of_run, shared)` over the first axis of `of_run`."""

    def mapped(of_runs: PyTree, shared: PyTree) -> Any:
        if len(jax.tree.leaves(of_runs)[0]) == 1:  # the program of one run, without loop or groups
            result = function(jax.tree.map(lambda x: x[0], of_runs), shared)
            return jax.tree.map(lambda x: x[None], result)
        if method == "vmap":
            return jax.vmap(function, in_axes=(0, None))(of_runs, shared)
        return jax.lax.map(lambda of_run: function(of_run, shared), of_runs)

    return mapped


@dataclasses.dataclass(frozen=True)
class RunBatch:
    """Placement of several runs on devices.

    Attributes:
        method: Method by which a device computes its runs, one of `METHODS`.
        count: Number of runs.
        devices: Devices that the runs are distributed over; at most `count` are used.

    Raises:
        InputError: The method is unknown.
    """

    method: str
    count: int
    devices: tuple[jax.Device, ...] = dataclasses.field(
        default_factory=lambda: tuple(jax.local_devices())
    )

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(unknown_name("batching", self.method, METHODS))
        object.__setattr__(self, "devices", self.devices[: self.count])

    @property
    def rows(self) -> int:
        """Length of the axis of runs, the same on every device; the last rows may be idle."""
        return -(-self.count // len(self.devices)) * len(self.devices)

    def describe(self) -> str:
        """Returns method and devices, to follow a number of runs."""
        each, devices = self.rows // len(self.devices), len(self.devices)
        runs = f"{self.method} of {each} runs" if each > 1 else "1 run"
        return f"{runs} on each of {devices} devices" if devices > 1 else runs

    def _sharding(self, *axes: str) -> NamedSharding:
        return NamedSharding(Mesh(np.array(self.devices), (_AXIS,)), PartitionSpec(*axes))

    def first_axis_sharding(self) -> NamedSharding:
        """Returns the sharding of arrays that have the axis of runs first."""
        return self._sharding(_AXIS)

    def replicate(self, tree: PyTree) -> PyTree:
        """Puts arrays that the runs share on every device."""
        return jax.device_put(tree, self._sharding())

    def distribute(self, tree: PyTree) -> PyTree:
        """Puts arrays `[count, ...]` of the runs on the devices as `[rows, ...]`."""
        idle = self.rows - self.count
        if idle:  # idle rows repeat the first run
            tree = jax.tree.map(lambda x: jnp.concatenate([x, jnp.repeat(x[:1], idle, 0)]), tree)
        return jax.device_put(tree, self.first_axis_sharding())

    def stack(self, trees: Sequence[PyTree]) -> PyTree:
        """Stacks a tree of arrays of each run and distributes them over the devices."""
        return self.distribute(jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees))

    def gather(self, tree: PyTree) -> PyTree:
        """Returns arrays `[count, ...]` of the runs on the host."""
        return jax.tree.map(lambda x: x[: self.count], jax.device_get(tree))

    def place(self, indices: np.ndarray) -> jax.Array:
        """Puts indices `[count, ...]` on the devices as `[rows, ...]`, idle rows as -1."""
        idle = ((0, self.rows - len(indices)), *[(0, 0)] * (indices.ndim - 1))
        return jax.device_put(np.pad(indices, idle, constant_values=-1), self.first_axis_sharding())

    def compile_step(
        self, make_step: Callable[[jax.Array, jax.Array], TrainStep], scan_steps: int = 1
    ) -> jax.stages.Wrapped:
        """Compiles `step(states, examples, indices, keys) -> (states, results)` of all runs.

        The states are donated. `indices` `[rows, scan_steps, batch]` are as `place` returns them;
        a batch without examples leaves its run as it was. `keys` `[rows]` are the keys of the
        runs' steps. Results are `[rows, scan_steps, ...]`, zero for a batch without examples.

        Args:
            make_step: Function from the number of a run and its key to its step, not compiled.
            scan_steps: Number of batches of a call.
        """

        def step_of_run(of_run: PyTree, examples: PyTree) -> tuple[TrainState, StepResult]:
            number, key, state, indices = of_run
            step = make_step(number, key)
            has_examples = jnp.any(indices >= 0)
            if self.method == "scan":  # with vmap both branches would be computed
                abstract = jax.eval_shape(step, state, examples, indices)[1]
                zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), abstract)
                compute = functools.partial(step, state, examples, indices)
                return jax.lax.cond(has_examples, compute, lambda: (state, zeros))
            stepped, result = step(state, examples, indices)
            return (
                jax.tree.map(lambda new, old: jnp.where(has_examples, new, old), stepped, state),
                jax.tree.map(lambda x: jnp.where(has_examples, x, jnp.zeros_like(x)), result),
            )

        step_of_runs = _map_runs(step_of_run, self.method)

        def steps(
            numbers: jax.Array,
            keys: jax.Array,
            states: PyTree,
            examples: PyTree,
            indices: jax.Array,
        ) -> Any:
            local, _, batch_size = indices.shape

            def step(
                states: PyTree, examples: PyTree, row: jax.Array, arrays: PyTree = None
            ) -> Any:
                of_runs = (numbers, keys, states, row.reshape(local, batch_size))
                return step_of_runs(of_runs, examples)

            if scan_steps == 1:
                states, results = step(states, examples, indices)
                return states, jax.tree.map(lambda x: x[:, None], results)
            several = multi_step.make_multi_step(step, scan_steps, SINGLE_DEVICE)
            states, results = several(states, examples, jnp.moveaxis(indices, 1, 0))
            return states, jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), results)

        split, replicated = PartitionSpec(_AXIS), PartitionSpec()
        sharded = jax.shard_map(
            steps,
            mesh=self.first_axis_sharding().mesh,
            in_specs=(split, split, split, replicated, split),
            out_specs=split,
            check_vma=False,
        )

        def program(states: PyTree, examples: PyTree, indices: jax.Array, keys: jax.Array) -> Any:
            numbers = jnp.arange(self.rows, dtype=jnp.int32)
            return sharded(numbers, keys, states, examples, indices)

        return jax.jit(program, donate_argnums=0, out_shardings=self.first_axis_sharding())

    def compile_evaluation(self, step: Callable[..., jax.Array]) -> jax.stages.Wrapped:
        """Compiles `step(variables, samples, start, length, size)` of all runs.

        Args:
            step: Evaluation step of one run. All arguments but `samples` and `size` get the axis
                of runs first; `size` is static.
        """

        def program(
            variables: Variables, samples: PyTree, start: jax.Array, length: jax.Array, size: int
        ) -> jax.Array:
            def predict(of_run: PyTree, samples: PyTree) -> jax.Array:
                variables, start, length = of_run
                return step(variables, samples, start, length, size)

            split = PartitionSpec(_AXIS)
            predictions: jax.Array = jax.shard_map(
                _map_runs(predict, self.method),
                mesh=self.first_axis_sharding().mesh,
                in_specs=(split, PartitionSpec()),
                out_specs=split,
                check_vma=False,
            )((variables, start, length), samples)
            return predictions

        return jax.jit(program, static_argnums=4)


class BatchedEvaluator:
    """Class probabilities of each run for utterances of its own, see `training.Evaluator`.

    Args:
        model: Network of all runs.
        front_end: Front end of the network.
        batch_size: Number of segments of a run at once.
        run_batch: Placement of the runs.
    """

    def __init__(
        self, model: nn.Module, front_end: FrontEnd, batch_size: int, run_batch: RunBatch
    ) -> None:
        entries = (run_batch.rows, batch_size)
        self._batch_size = batch_size
        self._programs = EvaluationPrograms(
            model, front_end, batch_size, entries, class_probabilities, run_batch
        )
        self.compile = self._programs.compile

    def __call__(
        self, variables: Variables, examples: Examples, utterances: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Predicts utterances of each run.

        Args:
            variables: Variables of all runs, with a first axis of runs.
            examples: Examples on the devices.
            utterances: Ascending indices `[n]` of each run's utterances; may be empty.

        Returns:
            `[n, classes]` float64 for each run, rows in the order of its utterances.
        """
        programs = self._programs
        programs.compile(variables, examples)
        segments = Segments.of(examples)
        # Batches of one size from all runs, padded for runs that have fewer.
        by_size: dict[int, list[list[np.ndarray]]] = {}
        for number, indices in enumerate(utterances):
            for batch, size in programs.batches(segments, indices):
                runs = by_size.setdefault(size, [[] for _ in utterances])
                runs[number].append(batch)
        rows = programs.entries[0]
        empty = np.full(self._batch_size, -1, np.int32)
        pending = []
        for size, runs in by_size.items():
            for batches in itertools.zip_longest(*runs, fillvalue=empty):
                batch = np.stack([*batches, *[empty] * (rows - len(batches))])
                outputs = programs.launch(variables, examples, segments, batch, size)
                pending.append((batch, outputs))
        predictions = jax.device_get(pending)
        return [
            utterance_means([(i[number], p[number]) for i, p in predictions], segments, indices)
            for number, indices in enumerate(utterances)
        ]
