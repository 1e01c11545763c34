"""Several runs from one corpus to a folder each, trained together: the folds of a series."""

import contextlib
import dataclasses
import functools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from serjax.data.batches import Examples
from serjax.errors import InputError
from serjax.protocols.batched_evaluation import EvaluatorTogether
from serjax.protocols.batched_loop import RunsState, first_state, train_together
from serjax.protocols.batched_runs import Together
from serjax.protocols.batching import CHECKPOINTS
from serjax.training import freeze
from serjax.training.build import abstract_variables, build_model
from serjax.training.config import RunConfig, front_end_of
from serjax.training.devices import memory, multi_step
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.evaluate import evaluation_batch, scores
from serjax.training.input.dataset import RunDataset, prepare
from serjax.training.input.recordings import Recordings
from serjax.training.input.sampler import Epochs
from serjax.training.job import Job, finish_network_run, open_network_run
from serjax.training.loop import LoopState, StopRequest
from serjax.training.optimizer import learning_rate, make_optimizer
from serjax.training.run import initial_state
from serjax.training.run_folder import results
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.run_dir import is_finished
from serjax.training.state import TrainState, Variables, parameter_count
from serjax.training.step import TrainStep, training_step
from serjax.training.trackers.progress import Clock, ProgressDisplay


def _shared(tasks: Sequence[RunDataset]) -> list[RunDataset]:
    """The tasks with one copy of their examples.

    Raises:
        InputError: They are of different examples or classes.
    """
    first = tasks[0]
    for task in tasks[1:]:
        same = all(
            np.array_equal(one, other)
            for one, other in zip(
                jax.tree.leaves(first.examples), jax.tree.leaves(task.examples), strict=True
            )
        )
        if not same or first.classes != task.classes:
            raise InputError("together: expected runs of the same utterances, found others")
    return [dataclasses.replace(task, examples=first.examples) for task in tasks]


class _Clocks:
    """The clocks of runs, which share the time that is spent on all."""

    def __init__(self, clocks: Sequence[Clock]) -> None:
        self._clocks = clocks

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds an equal share of the time spent in the context to each."""
        whole = Clock()
        try:
            with whole.timed(name):
                yield
        finally:
            self.add(name, whole.seconds[name])

    def add(self, name: str, seconds: float) -> None:
        """Adds an equal share of some seconds to each."""
        for clock in self._clocks:
            spent = clock.seconds.get(name, 0.0) + seconds / len(self._clocks)
            clock.seconds[name] = spent


def _rates(
    config: RunConfig, steps: Sequence[int], epochs: int
) -> Callable[[Any], float | optax.Schedule]:
    """Number of a run -> its learning rate, which follows from the steps of its epochs."""
    distinct = sorted(set(steps))
    rates = [learning_rate(config, count, epochs) for count in distinct]
    if len(rates) == 1 or not any(callable(rate) for rate in rates):
        return lambda number: rates[0]
    schedules = [rate if callable(rate) else optax.constant_schedule(rate) for rate in rates]
    which = np.array([distinct.index(count) for count in steps], np.int32)

    def of_run(number: Any) -> optax.Schedule:
        own = jnp.asarray(which)[number]
        return lambda count: jax.lax.switch(own, schedules, count)

    return of_run


def _restored(
    checkpoints: Checkpoints, state: RunsState, together: Together, names: Sequence[str]
) -> tuple[RunsState, dict[str, LoopState]] | None:
    """What was saved of the runs, or None."""
    count = together.count
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype), state)
    saved = checkpoints.restore_last(like)
    if saved is None:
        return None
    if list(saved[1]) != list(names):
        raise InputError(f"--resume: expected the runs {', '.join(saved[1])}, found others")
    loops = {name: LoopState(**saved[1][name]) for name in names}
    return together.spread(saved[0]), loops


def run_together(
    runs: Mapping[str, RunConfig],
    folder: Path,
    engine: str,
    *,
    console: Console,
    command: list[str],
    recordings: Recordings,
) -> None:
    """Trains runs together, and leaves of each what `serjax.training.run` would.

    What was begun in the folder is gone on with; finished runs stay as they are.

    Args:
        runs: By name. They differ in seed and fold, and `choose` found them fit.
        folder: In which each has one of its name. While they train, their checkpoints are in
            `together` there.
        engine: One of `together.ENGINES`.
        console: Where to tell of it.
        command: As it is to be shown in the reports.
        recordings: Of the corpus.

    Raises:
        InputError, DivergedError, InterruptedRunError: As `serjax.training.run`.
    """
    left = [name for name in runs if not is_finished(folder / name)]
    for name in runs:
        if name not in left:
            console.print(f"{name} finished before", highlight=False)
    with contextlib.ExitStack() as stack:
        clocks = {name: Clock() for name in runs}
        shared = _Clocks(list(clocks.values()))
        configs = [resolve(config) for config in runs.values()]
        first = configs[0]
        front_end = front_end_of(first)
        with shared.timed("data"):
            tasks = [prepare(each, front_end, console, recordings) for each in configs]
            tasks[0].check_resident("--together")
            tasks = _shared(tasks)
        model = build_model(first, len(tasks[0].classes))
        abstract = abstract_variables(model, front_end)
        parameters = parameter_count(abstract["params"])
        freeze.check_patterns(first.model.freeze, abstract["params"])
        jobs = {
            name: Job(
                config=config,
                task=task,
                out=folder / name,
                resume=(folder / name).exists(),
                console=console,
                command=command,
                clock=clocks[name],
                stack=stack,
                profile=None,
                events=False,
            )
            for (name, config, task) in zip(runs, configs, tasks, strict=True)
        }
        group = _Group(first, jobs, model, parameters, Together(engine, len(runs)), shared)
        for name in left:
            open_network_run(jobs[name], parameters)
        state, loops, evaluator = _trained(group, folder / CHECKPOINTS, console)
        _finish(group, left, state, loops, evaluator)
    shutil.rmtree(folder / CHECKPOINTS)


@dataclasses.dataclass(frozen=True, eq=False)
class _Group:
    """Runs that are computed together, and what they have in common."""

    config: RunConfig
    jobs: Mapping[str, Job]
    model: nn.Module
    parameters: int
    together: Together
    clocks: _Clocks

    @functools.cached_property
    def examples(self) -> Examples:
        """On the devices."""
        task = next(iter(self.jobs.values())).task
        found: Examples = self.together.replicate(task.examples)
        return found

    @functools.cached_property
    def heard(self) -> list[Epochs]:
        """What each hears in an epoch."""
        assert self.config.optimizer.batch_size is not None
        return [
            Epochs.of(
                job.task.examples,
                job.task.split.train,
                front_end_of(job.config),
                jax.random.split(jax.random.key(job.config.seed), 3)[1],
                self.config.optimizer.batch_size,
            )
            for job in self.jobs.values()
        ]

    def parts(self, part: str, names: Sequence[str]) -> list[np.ndarray]:
        """Utterances of a part of these runs, none of the others."""
        nothing = np.zeros(0, int)
        return [
            getattr(job.task.split, part) if name in names else nothing
            for name, job in self.jobs.items()
        ]


def _trained(
    group: _Group, directory: Path, console: Console
) -> tuple[RunsState, dict[str, LoopState], EvaluatorTogether]:
    """Compiles and trains; the last state, where the loops came to, and what evaluates."""
    config, together, model = group.config, group.together, group.model
    epochs, batch_size = config.optimizer.epochs, config.optimizer.batch_size
    assert epochs is not None
    assert batch_size is not None
    front_end = front_end_of(config)
    jobs, names = list(group.jobs.values()), list(group.jobs)
    keys = [jax.random.split(jax.random.key(job.config.seed), 3) for job in jobs]
    rates = _rates(config, [each.steps for each in group.heard], epochs)

    def optimizer(number: Any) -> optax.GradientTransformation:
        made = make_optimizer(config, rates(number))
        return freeze.optimizer(made, config.model.freeze) if config.model.freeze else made

    def make_step(number: jax.Array, key: jax.Array) -> TrainStep:
        return training_step(
            model,
            front_end,
            optimizer(number),
            key,
            len(jobs[0].task.classes),
            config.augmentation.preset,
            frozen=config.model.freeze,
            division=BatchSharding(accumulate=config.optimizer.accumulate),
            remat=config.system.remat,
        )

    @functools.cache
    def start(seed: int) -> TrainState:
        key = jax.random.split(jax.random.key(seed), 3)[0]
        return initial_state(config, model, optimizer(0), key, front_end, jobs[0].task, None)

    steps = multi_step.scan_steps(config.system.scan_steps)
    evaluator = EvaluatorTogether(model, front_end, evaluation_batch(batch_size), together)
    explained = functools.partial(
        memory.explained,
        batch_size,
        1,
        config.optimizer.accumulate,
        config.system.remat,
        ["--together off"],
    )
    with explained(), console.status("compiling"), group.clocks.timed("compile"):
        state = first_state(together.stack([start(job.config.seed) for job in jobs]))
        step_keys = together.stack([key[2] for key in keys])
        step = together.compile_step(make_step, steps)
        indices = together.place(np.full((len(jobs), steps, batch_size), -1, np.int32))
        compiled = step.lower(state.states, group.examples, indices, step_keys).compile()
        evaluator.compile(state.best, group.examples)
    console.print(
        f"step of {len(jobs)} runs, {together.describe()}: "
        f"{memory.peak_bytes(compiled) / 2**20:.1f} MiB"
        f"{f', {steps} steps a call' if steps > 1 else ''}",
        highlight=False,
        soft_wrap=True,
    )

    def evaluate(variables: Variables, active: Sequence[int]) -> dict[int, dict[str, float]]:
        with group.clocks.timed("evaluate"):
            parts = group.parts("validation", [names[number] for number in active])
            found = evaluator(variables, group.examples, parts)
            labels = [job.task.labels for job in jobs]
            return {n: scores(found[n], labels[n][parts[n]]) for n in active}

    checkpoints = Checkpoints(directory)
    loops = {name: LoopState(monitor=config.optimizer.monitor) for name in names}
    saved = _restored(checkpoints, state, together, names)
    if saved is not None:
        state, loops = saved
        epoch = max(loop.epoch for loop in loops.values())
        console.print(f"resumed together at epoch {epoch}", highlight=False)
    with (
        explained(),
        group.clocks.timed("train"),
        ProgressDisplay(console) as display,
        StopRequest().installed() as stop,
    ):
        state = train_together(
            state,
            loops,
            together=together,
            step=lambda *given: compiled(*given, step_keys),
            examples=group.examples,
            orders=[each.order for each in group.heard],
            evaluate=evaluate,
            checkpoints=checkpoints,
            epochs=epochs,
            patience=config.optimizer.patience,
            display=display,
            stop=stop,
            scan_steps=steps,
        )
    for job in jobs:
        job.clock.seconds["train"] -= job.clock.seconds.get("evaluate", 0.0)
    return state, loops, evaluator


def _finish(
    group: _Group,
    names: Sequence[str],
    state: RunsState,
    loops: Mapping[str, LoopState],
    evaluator: EvaluatorTogether,
) -> None:
    """Writes the folders of runs that are not finished."""
    with group.clocks.timed("evaluate"):
        heard = [
            np.union1d(*both)
            for both in zip(
                group.parts("validation", names), group.parts("test", names), strict=True
            )
        ]
        found = evaluator(state.best, group.examples, heard)
    on_host = group.together.gather(state)
    for number, (name, job) in enumerate(group.jobs.items()):
        if name not in names:
            continue
        job.console.rule(name)
        own = jax.tree.map(lambda x, n=number: x[n], on_host)
        loop = loops[name]
        assert job.out is not None
        checkpoints = Checkpoints(job.out / "checkpoints")
        checkpoints.save_last(own.states, dataclasses.asdict(loop))
        checkpoints.save_best(
            TrainState(
                step=jnp.int32(loop.best_step),
                params=own.best["params"],
                batch_stats=own.best["batch_stats"],
                opt_state=(),
            )
        )

        def probabilities(part: np.ndarray, n: int = number) -> np.ndarray:
            return found[n][np.searchsorted(heard[n], part)]

        predictions = results.predict_parts(probabilities, job.task)
        steps, epochs = group.heard[number].steps, group.config.optimizer.epochs
        assert epochs is not None
        rate = learning_rate(group.config, steps, epochs)
        finish_network_run(job, job.out, loop, rate, steps, group.parameters, predictions)
