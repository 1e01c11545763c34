"""One run, from a corpus to a folder of results: the main job as a function."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from rich.console import Console

from serjax import models
from serjax.anti_transfer.loss import AntiTransferLoss, References
from serjax.anti_transfer.source_network import load_source_networks
from serjax.data.batches import Examples
from serjax.errors import InputError
from serjax.features.front_ends import FrontEnd
from serjax.files import PathLike
from serjax.models import pretrained
from serjax.training import classical_run, freeze
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.config import RunConfig, front_end_of
from serjax.training.devices import batch_sharding, memory, multi_step, processes
from serjax.training.evaluate import scores
from serjax.training.input.dataset import RunDataset, prepare
from serjax.training.input.recordings import Recordings
from serjax.training.input.sampler import Epochs
from serjax.training.input.source import source_of
from serjax.training.job import Job, finish_network_run, open_network_run, open_run
from serjax.training.loop import Display, LoopState, StopRequest, train
from serjax.training.optimizer import learning_rate, make_optimizer, rate_after
from serjax.training.run_folder import results
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.metadata import described
from serjax.training.run_folder.run_dir import check_free
from serjax.training.state import TrainState, Variables, create_state, parameter_count, state_of
from serjax.training.step import StepResult, TrainStep, make_train_step
from serjax.training.trackers import profiling, tensorboard
from serjax.training.trackers.progress import Clock, ProgressDisplay


def initial_state(
    config: RunConfig,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    front_end: FrontEnd,
    task: RunDataset,
    teachers: AntiTransferLoss | None,
) -> TrainState:
    """The state before the first step, with weights from chance, a run, a file, or a teacher.

    An embedding is the first teacher's, or the one that ships with the library.
    """
    if config.model.init is not None:
        options = dict(config.model.options)
        _, variables = pretrained.load(
            config.model.name,
            config.model.init,
            len(task.classes),
            input_channels=front_end.input_shape[-1],
            key=key,
            **options,
        )
        return state_of(variables, optimizer)
    state = create_state(model, optimizer, key, input_shape(front_end))
    embedding: Variables = {}
    if teachers is not None:
        embedding = teachers.embedding
    if (
        not embedding
        and isinstance(model, models.Embedded)
        and config.model.embedding == "pretrained"
    ):
        embedding = pretrained.encoder()
    own = pretrained.with_embedding(state.variables, jax.device_put(embedding))
    return dataclasses.replace(state, params=own["params"], batch_stats=own["batch_stats"])


def _untrained(model: nn.Module, front_end: FrontEnd, seed: int) -> Variables:
    """Variables from chance, other than those that the run starts from."""
    key = jax.random.fold_in(jax.random.key(seed), 1)
    return create_state(model, optax.identity(), key, input_shape(front_end)).variables


def _references(
    teachers: AntiTransferLoss,
    config: RunConfig,
    state: TrainState,
    examples: Examples | None,
    members: np.ndarray,
    console: Console,
) -> References:
    """What the anti-transfer loss reads: kept where that is possible, else computed every step.

    `examples` are those on the device, None if they are streamed.
    """
    console.print(f"anti-transfer: {teachers.describe()}", highlight=False, soft_wrap=True)
    reason = teachers.why_not_kept(len(members), config.augmentation.preset, config.model.freeze)
    if examples is None:
        reason = "the corpus is streamed"
    if examples is None or reason is not None:
        console.print(f"its teachers run in every step: {reason}", highlight=False, soft_wrap=True)
        return teachers.references()
    kept = teachers.keep(state.variables, examples, members, config.optimizer.batch_size or 1)
    size = teachers.kept_bytes(len(members)) / 2**20
    console.print(
        f"its teachers' Gram matrices are kept: {size:.1f} MiB", highlight=False, soft_wrap=True
    )
    return kept


def _with_references(
    step: jax.stages.Compiled,
    references: References | None,
    state: TrainState,
    examples: Examples,
    indices: jax.Array,
) -> tuple[TrainState, StepResult]:
    return step(state, examples, indices, references)


def run(
    config: RunConfig,
    *,
    out: PathLike | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
    recordings: Recordings | None = None,
    profile: tuple[int, int] | None = None,
    events: bool = False,
) -> Path:
    """Trains, tests and reports.

    Args:
        config: What to run.
        out: Run folder; None: the first free name below `runs/`.
        resume: Go on with the run in the folder, to the numbers it would have had.
        console: Where to tell of it; None: standard output.
        command: As it is to be shown in the report.
        recordings: Of the run's corpora, if they are already read.
        profile: First and last step, from 1, of a profile for Perfetto or TensorBoard; it goes to
            `profile/` of the run folder.
        events: Whether to write event files for TensorBoard too, to `tensorboard/`.

    Returns:
        The run folder, filled with `config.json`, `history.csv`, `metrics.json`,
        `predictions.csv`, `timing.json`, `checkpoints/`, `curves.png`, `confusion.png`,
        `confusion.pdf` and `report.html`. Classical models leave no history, curves and
        checkpoints.

    Raises:
        InputError: Something that the user can mend, found before anything is compiled.
        DivergedError: The loss became infinite or no number.
        InterruptedRunError: SIGINT or SIGTERM; the run can be resumed.
    """
    console = console or Console(quiet=not processes.is_first())
    clock = Clock()
    config.check()
    if config.model.init is not None and not Path(config.model.init).exists():
        raise InputError(
            f"initial: expected the folder of a run, or a file: no {config.model.init}"
        )
    out = None if out is None else Path(out)
    if out is not None:
        processes.by_first(functools.partial(check_free, out, resume))
    for name, given in (("profile", profile), ("tensorboard", events)):
        if given and config.model.name not in models.names():
            raise InputError(
                f"{name}: expected none with {config.model.name}, which takes no steps"
            )
    if profile is not None:
        profiling.check(profile)
    if events:
        tensorboard.check()
    config = resolve(config)
    with clock.timed("data"):
        processes.check_same("configuration", repr(config))
        task = processes.by_all(lambda: prepare(config, front_end_of(config), console, recordings))
        processes.check_same("corpus", *jax.tree.leaves(task.examples))
    finish = _network if config.model.name in models.names() else _classical
    with contextlib.ExitStack() as stack:
        job = Job(config, task, out, resume, console, command or [], clock, stack, profile, events)
        return finish(job)


def _profiled(
    job: Job,
    step: jax.stages.Compiled,
    references: References | None,
    done: int,
    folder: Path,
) -> contextlib.AbstractContextManager[TrainStep]:
    """The step as the loop calls it, some of its calls recorded if that is asked for."""
    call: TrainStep = functools.partial(_with_references, step, references)
    if job.profile is None or not processes.is_first():
        return contextlib.nullcontext(call)
    return profiling.Profiled(call, job.profile, done, folder / "profile", job.console)


@contextlib.contextmanager
def _shown(
    job: Job, folder: Path, rate: float | optax.Schedule, steps: int, epoch: int
) -> Iterator[Display]:
    """What the loop tells of its epochs, of so many steps, from this one on."""
    with ProgressDisplay(job.console) as display:
        if not job.events or not processes.is_first():
            yield display
            return
        writer = tensorboard.EventWriter(
            display, folder / "tensorboard", lambda epoch: rate_after(rate, epoch * steps), epoch
        )
        with contextlib.closing(writer):
            yield writer


def _classical(job: Job) -> Path:
    """The run of a classical model. It takes seconds, so resuming starts it anew."""
    config, task, console, clock = job.config, job.task, job.console, job.clock
    fixed = [f.name for f in dataclasses.fields(config)]
    folder = open_run(job, described(config, task, job.command), fixed, "")
    with console.status("fitting"):
        classifier, probabilities = classical_run.fit(config, task, clock)
    with clock.timed("evaluate"):
        predictions = results.predict_parts(probabilities, task)
    about = {"hyperparameters": classifier.hyperparameters}
    processes.by_first(
        lambda: results.write_results(folder, predictions, about, task, clock, console)
    )
    return folder


def _network(job: Job) -> Path:
    """The run of a network."""
    config, task, console, clock = job.config, job.task, job.console, job.clock
    epochs, batch_size = config.optimizer.epochs, config.optimizer.batch_size
    assert epochs is not None
    assert batch_size is not None
    front_end = front_end_of(config)
    division = batch_sharding.divide(
        config.system.parallel,
        batch_size,
        config.optimizer.accumulate,
        config.optimizer.sync_batch_norm,
        streamed=task.lazy_waveforms is not None,
    )
    model = build_model(config, len(task.classes))
    abstract = abstract_variables(model, front_end)
    parameters = parameter_count(abstract["params"])
    freeze.check_patterns(config.model.freeze, abstract["params"])
    teachers = None
    if config.anti_transfer:
        loaded = load_source_networks(
            config.anti_transfer,
            config.model.name,
            front_end,
            untrained=lambda: (model, _untrained(model, front_end, config.seed)),
        )
        teachers = AntiTransferLoss(model, abstract, front_end, config.anti_transfer, loaded)
    folder = open_network_run(job, parameters)
    init_key, order_key, step_key = jax.random.split(jax.random.key(config.seed), 3)
    checkpoints = Checkpoints(folder / "checkpoints")
    # A profile tells of each step by itself.
    steps = 1 if job.profile is not None else multi_step.scan_steps(config.system.scan_steps)
    source = source_of(task, model, front_end, batch_size, steps, division)
    heard = Epochs.of(task.examples, task.split.train, front_end, order_key, batch_size)
    rate = learning_rate(config, heard.steps, epochs)
    optimizer = make_optimizer(config, rate)
    if config.model.freeze:
        optimizer = freeze.optimizer(optimizer, config.model.freeze)

    explained = functools.partial(
        memory.explained,
        batch_size,
        division.device_count,
        config.optimizer.accumulate,
        config.system.remat,
    )
    with explained(), console.status("compiling"), clock.timed("compile"):
        state = initial_state(config, model, optimizer, init_key, front_end, task, teachers)
        state, references = division.replicate(state), None
        examples = None if task.lazy_waveforms is not None else source.arguments[0]
        if teachers is not None:
            references = division.replicate(
                _references(teachers, config, state, examples, heard.members, console)
            )
        step = make_train_step(
            model,
            front_end,
            optimizer,
            step_key,
            len(task.classes),
            config.augmentation.preset,
            frozen=config.model.freeze,
            anti_transfer=teachers,
            division=division,
            remat=config.system.remat,
            scan_steps=steps,
        )
        compiled = step.lower(state, *source.arguments, references).compile()
        source.compile(state.variables)
    console.print(
        f"step: {memory.peak_bytes(compiled) / 2**20:.1f} MiB{division.describe()}"
        f"{f', {steps} steps a call' if steps > 1 else ''}",
        highlight=False,
        soft_wrap=True,
    )

    def evaluate(variables: Any) -> dict[str, float]:
        with clock.timed("evaluate"):
            probabilities = source.evaluate(variables, task.split.validation)
            return scores(probabilities, task.labels[task.split.validation])

    loop = LoopState(monitor=config.optimizer.monitor)
    saved = checkpoints.restore_last(state) if job.resume else None
    if saved is not None:
        state, loop = saved[0], LoopState(**saved[1])
        console.print(f"resumed at epoch {loop.epoch}, batch {loop.batch}", highlight=False)
    with (
        explained(),
        clock.timed("train"),
        _profiled(job, compiled, references, int(state.step), folder) as call,
        _shown(job, folder, rate, heard.steps, loop.epoch) as display,
        StopRequest().installed() as stop,
    ):
        state, loop = train(
            state,
            loop,
            step=call,
            calls=source.calls,
            order=heard.order,
            evaluate=evaluate,
            checkpoints=checkpoints,
            epochs=epochs,
            patience=config.optimizer.patience,
            display=display,
            stop=stop,
        )
    clock.seconds["train"] -= clock.seconds.get("evaluate", 0.0)
    with clock.timed("evaluate"):
        best = checkpoints.restore_best(state.variables, loop.best_step)
        predictions = results.predict_parts(functools.partial(source.evaluate, best), task)
    processes.by_first(
        lambda: finish_network_run(job, folder, loop, rate, heard.steps, parameters, predictions)
    )
    return folder
