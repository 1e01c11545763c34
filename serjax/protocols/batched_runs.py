"""Driver of batched runs: several runs on one corpus, trained in one program."""

import contextlib
import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from serjax.console import Console
from serjax.errors import InputError
from serjax.interruption import StopRequest
from serjax.models.variables import Variables, check_patterns
from serjax.protocols.batched_loop import RunsState, initial_state, train_runs
from serjax.protocols.batching import CHECKPOINTS
from serjax.protocols.run_batch import BatchedEvaluator, RunBatch
from serjax.training.build import abstract_variables, build_model
from serjax.training.config import RunConfig
from serjax.training.config.resolve import ResolvedRunConfig, front_end_of, resolve
from serjax.training.devices import memory, multi_step
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.evaluate import evaluation_batch, scores
from serjax.training.input.dataset import RunDataset, prepare_dataset
from serjax.training.input.recordings import Recordings
from serjax.training.input.sampler import Sampler
from serjax.training.loop import LoopState
from serjax.training.objective import auxiliary_loss
from serjax.training.objective.auxiliary_loss import AuxiliaryContext
from serjax.training.objective.task_loss import classification_loss
from serjax.training.optimization import freeze
from serjax.training.optimization.optimizer import learning_rate, make_optimizer
from serjax.training.run_folder import results
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.run_dir import earlier_times, is_finished, open_folder
from serjax.training.single_run import (
    initial_variables,
    network_metadata,
    print_header,
    write_network_run,
)
from serjax.training.stage import log_learning_rate, write_times
from serjax.training.state import TrainState, parameter_count, state_of
from serjax.training.step import TrainStep, training_step
from serjax.training.trackers.progress import Clock, ProgressDisplay, timed_together


@dataclasses.dataclass(frozen=True, eq=False)
class _Run:
    """One of the runs.

    Attributes:
        config: Configuration, its defaults filled in.
        dataset: Dataset; all runs share the examples.
        folder: Run folder.
        sampler: Sampler of the training set.
        clock: Clock, with an equal part of the time of all runs.
    """

    config: ResolvedRunConfig
    dataset: RunDataset
    folder: Path
    sampler: Sampler
    clock: Clock


def run_batched(
    runs: Mapping[str, RunConfig],
    folder: Path,
    method: str,
    *,
    console: Console,
    command: list[str],
    recordings: Recordings,
) -> None:
    """Trains runs in one program, with the run folders that `serjax.training.run` writes.

    Interrupted runs are resumed; finished runs stay as they are.

    Args:
        runs: Configurations by name, which differ in seed and fold only, see
            `serjax.protocols.batching.choose`.
        folder: Folder of the run folders, which have the runs' names. Until the runs are over
            their checkpoints are in `batched`.
        method: Method of `serjax.protocols.run_batch.METHODS`.
        console: Console for messages.
        command: Command line, for the reports.
        recordings: Recordings of the corpus.

    Raises:
        InputError: See `serjax.training.run`.
        DivergedError: See `serjax.training.run`.
        InterruptedRunError: See `serjax.training.run`.
    """
    remaining = [name for name in runs if not is_finished(folder / name)]
    for name in runs:
        if name not in remaining:
            console.print(f"{name} finished before")
    clocks = [Clock(1 / len(runs)) for _ in runs]
    configs = [resolve(config) for config in runs.values()]
    front_end = front_end_of(configs[0])
    with timed_together(clocks, "data"):
        datasets = [prepare_dataset(config, front_end, console, recordings) for config in configs]
        datasets[0].check_resident("--batching")
        datasets = _share_examples(datasets)
    prepared = {
        name: _Run(config, dataset, folder / name, _sampler_of(config, dataset), clock)
        for name, config, dataset, clock in zip(runs, configs, datasets, clocks, strict=True)
    }
    with contextlib.ExitStack() as stack:
        training = _BatchedTraining(prepared, remaining, method, console)
        for name in remaining:
            run = prepared[name]
            metadata = network_metadata(run.config, run.dataset, command, training.abstract)
            opened = open_folder(run.folder, run.folder.exists(), run.config, metadata, console)
            stack.enter_context(opened)
            print_header(console, run.config, metadata)
            run.clock.add(earlier_times(run.folder))
        state, loops = training.train(folder / CHECKPOINTS)
        training.write(state, loops)
    shutil.rmtree(folder / CHECKPOINTS)


def _share_examples(datasets: Sequence[RunDataset]) -> list[RunDataset]:
    """Returns the datasets with one copy of their examples.

    Raises:
        InputError: The datasets have other examples or classes.
    """
    first = datasets[0]
    for dataset in datasets[1:]:
        are_equal = all(
            np.array_equal(one, other)
            for one, other in zip(
                jax.tree.leaves(first.examples), jax.tree.leaves(dataset.examples), strict=True
            )
        )
        if not are_equal or first.classes != dataset.classes:
            raise InputError("batching: expected runs of the same utterances, found others")
    return [dataclasses.replace(dataset, examples=first.examples) for dataset in datasets]


def _keys(config: RunConfig) -> jax.Array:
    """Returns the keys of initial weights, orders and steps, as `serjax.training.Stage`."""
    return jax.random.split(jax.random.key(config.seed), 3)


def _sampler_of(config: ResolvedRunConfig, dataset: RunDataset) -> Sampler:
    return Sampler.of(
        dataset.examples,
        dataset.split.train,
        front_end_of(config),
        _keys(config)[1],
        config.optimizer.batch_size,
        config.augmentation.copies,
    )


def _rates(
    config: ResolvedRunConfig, steps: Sequence[int]
) -> Callable[[jax.Array | int], optax.ScalarOrSchedule]:
    """Returns a function from a run's number to its learning rate.

    The schedule of a run depends on the number of steps of its epochs.
    """
    distinct = sorted(set(steps))
    rates = [learning_rate(config, count, config.optimizer.epochs) for count in distinct]
    if len(rates) == 1 or not any(callable(rate) for rate in rates):
        return lambda number: rates[0]
    schedules = [rate if callable(rate) else optax.constant_schedule(rate) for rate in rates]
    positions = np.array([distinct.index(count) for count in steps], np.int32)

    def rate_of(number: jax.Array | int) -> optax.Schedule:
        position = jnp.asarray(positions)[number]
        return lambda count: jax.lax.switch(position, schedules, count)

    return rate_of


class _BatchedTraining:
    """Training of runs of one network on the same examples in one program.

    Args:
        runs: Runs by name.
        remaining: Names of the runs whose results are not written yet.
        method: Method of `serjax.protocols.run_batch.METHODS`.
        console: Console for messages.
    """

    def __init__(
        self, runs: Mapping[str, _Run], remaining: Sequence[str], method: str, console: Console
    ) -> None:
        self._runs, self._remaining, self._console = runs, remaining, console
        self._names, self._list = list(runs), list(runs.values())
        self._clocks = [run.clock for run in self._list]
        self._batch = RunBatch(method, len(runs))
        self._config = self._list[0].config
        self._front_end = front_end_of(self._config)
        dataset = self._list[0].dataset
        self._model = build_model(self._config, len(dataset.classes))
        self.abstract = abstract_variables(self._model, self._front_end)
        check_patterns(self._config.model.freeze, self.abstract["params"])
        self._examples = self._batch.replicate(dataset.examples)
        batch_size = evaluation_batch(self._config.optimizer.batch_size)
        self._evaluator = BatchedEvaluator(self._model, self._front_end, batch_size, self._batch)

    def _optimizer(self, rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
        optimizer, frozen = make_optimizer(self._config, rate), self._config.model.freeze
        return freeze.optimizer(optimizer, frozen) if frozen else optimizer

    def _rate_of(self) -> Callable[[jax.Array | int], optax.ScalarOrSchedule]:
        return _rates(self._config, [run.sampler.steps for run in self._list])

    def _step_maker(self) -> Callable[[jax.Array, jax.Array], TrainStep]:
        """Returns the function from a run's number and key to its step."""
        config = self._config
        rate_of = self._rate_of()
        auxiliary_losses = auxiliary_loss.make_auxiliary_losses(
            AuxiliaryContext(self._model, self.abstract, self._front_end, config, self._console)
        )

        def make_step(number: jax.Array, key: jax.Array) -> TrainStep:
            step = training_step(
                self._model,
                self._front_end,
                self._optimizer(rate_of(number)),
                key,
                len(self._list[0].dataset.classes),
                augmentation=config.augmentation.preset,
                augment_copies=config.augmentation.copies,
                frozen=config.model.freeze,
                auxiliary_losses=auxiliary_losses,
                loss=classification_loss(config.optimizer.loss),
                sharding=BatchSharding(accumulate=config.optimizer.accumulate),
                remat=config.system.remat,
            )
            # Auxiliary losses with arrays of their own are not batched.
            arrays = dict.fromkeys(auxiliary_losses, ())
            return lambda *arguments: step(*arguments, arrays)

        return make_step

    def _initial_state(self) -> RunsState:
        """Returns the initial state of all runs; runs of one seed start from the same weights."""

        @functools.cache
        def state_of_seed(seed: int) -> TrainState:
            key = jax.random.split(jax.random.key(seed), 3)[0]
            num_classes = len(self._list[0].dataset.classes)
            variables = initial_variables(
                self._config, self._model, key, self._front_end, num_classes
            )
            return state_of(variables, self._optimizer(self._rate_of()(0)))

        states = [state_of_seed(run.config.seed) for run in self._list]
        return initial_state(self._batch.stack(states))

    def _utterances(self, split: str, names: Sequence[str]) -> list[np.ndarray]:
        """Returns the utterances of a split for the named runs, none for the others."""
        return [
            getattr(run.dataset.split, split) if name in names else np.zeros(0, int)
            for name, run in self._runs.items()
        ]

    def _evaluate(self, variables: Variables, active: Sequence[int]) -> dict[int, dict[str, float]]:
        """Returns the scores of the active runs on their validation sets."""
        with timed_together(self._clocks, "evaluate"):
            utterances = self._utterances("validation", [self._names[n] for n in active])
            predictions = self._evaluator(variables, self._examples, utterances)
            labels = [run.dataset.labels for run in self._list]
            return {n: scores(predictions[n], labels[n][utterances[n]]) for n in active}

    def train(self, directory: Path) -> tuple[RunsState, dict[str, LoopState]]:
        """Trains all runs, or the rest of interrupted ones.

        Args:
            directory: Folder of the checkpoints.

        Returns:
            The last state and the states of the runs' loops.
        """
        config, batch, console = self._config, self._batch, self._console
        scan_steps = multi_step.scan_steps(config.system.scan_steps)
        explained = functools.partial(
            memory.explain_out_of_memory,
            config.optimizer.batch_size,
            1,
            config.optimizer.accumulate,
            config.system.remat,
            ["--batching off"],
        )
        with explained(), console.status("compiling"), timed_together(self._clocks, "compile"):
            state = self._initial_state()
            step_keys = batch.stack([_keys(run.config)[2] for run in self._list])
            step = batch.compile_step(self._step_maker(), scan_steps)
            shape = (len(self._list), scan_steps, config.optimizer.batch_size)
            indices = batch.place(np.full(shape, -1, np.int32))
            compiled = step.lower(state.states, self._examples, indices, step_keys).compile()
            self._evaluator.compile(state.best, self._examples)
        console.print(
            f"step of {len(self._list)} runs, {batch.describe()}: "
            f"{memory.peak_bytes(compiled) / 2**20:.1f} MiB"
            f"{f', {scan_steps} steps per call' if scan_steps > 1 else ''}",
        )
        checkpoints = Checkpoints(directory)
        state, loops = self._restore(checkpoints, state)
        with (
            explained(),
            timed_together(self._clocks, "train"),
            ProgressDisplay(console) as display,
            StopRequest().installed() as stop,
        ):
            state = train_runs(
                state,
                loops,
                run_batch=batch,
                step=lambda *arguments: compiled(*arguments, step_keys),
                examples=self._examples,
                orders=[run.sampler.order for run in self._list],
                evaluate=self._evaluate,
                checkpoints=checkpoints,
                epochs=config.optimizer.epochs,
                patience=config.optimizer.patience,
                display=display,
                stop=stop,
                scan_steps=scan_steps,
                saved=self._write_times,
            )
        return state, loops

    def _write_times(self) -> None:
        for name in self._remaining:
            write_times(self._runs[name].clock, self._runs[name].folder)

    def _restore(
        self, checkpoints: Checkpoints, state: RunsState
    ) -> tuple[RunsState, dict[str, LoopState]]:
        """Returns the saved state of the runs, or the given one."""
        count = self._batch.count
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype), state
        )
        saved = checkpoints.restore_last(abstract, dict[str, LoopState])
        if saved is None:
            monitor = self._config.optimizer.monitor
            return state, {name: LoopState(monitor=monitor) for name in self._names}
        if list(saved[1]) != self._names:
            raise InputError(f"--resume: expected the runs {', '.join(saved[1])}, found others")
        loops = {name: LoopState(**saved[1][name]) for name in self._names}
        epoch = max(loop.epoch for loop in loops.values())
        self._console.print(f"resumed {len(loops)} runs at epoch {epoch}")
        return self._batch.distribute(saved[0]), loops

    def write(self, state: RunsState, loops: Mapping[str, LoopState]) -> None:
        """Writes the folders of the remaining runs."""
        names = self._remaining
        with timed_together(self._clocks, "evaluate"):
            utterances = [
                np.union1d(*both)
                for both in zip(
                    self._utterances("validation", names),
                    self._utterances("test", names),
                    strict=True,
                )
            ]
            predictions = self._evaluator(state.best, self._examples, utterances)
        on_host = self._batch.gather(state)
        for number, (name, run) in enumerate(self._runs.items()):
            if name not in names:
                continue
            self._console.rule(name)
            of_run = jax.tree.map(lambda x, n=number: x[n], on_host)
            loop = loops[name]
            checkpoints = Checkpoints(run.folder / "checkpoints")
            checkpoints.save_last(of_run.states, dataclasses.asdict(loop))
            best_step = jnp.int32(loop.best_step)
            checkpoints.save_best(
                TrainState(best_step, of_run.best["params"], of_run.best["batch_stats"], ())
            )

            def probabilities(indices: np.ndarray, n: int = number) -> np.ndarray:
                return predictions[n][np.searchsorted(utterances[n], indices)]

            rate = learning_rate(run.config, run.sampler.steps, run.config.optimizer.epochs)
            log_learning_rate(loop.history, rate, run.sampler.steps)
            write_network_run(
                run.folder,
                loop,
                parameter_count(self.abstract["params"]),
                results.predict_splits(probabilities, run.dataset),
                run.dataset,
                run.clock,
                self._console,
            )
