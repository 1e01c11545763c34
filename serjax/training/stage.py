"""Driver of training: one stage of a run, from initial variables to the best ones.

Most runs have one stage; RH-emo's pretraining has two. Read `train_stage`.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from jaxtyping import PyTree

from serjax import report
from serjax.console import Console
from serjax.features.front_ends import FrontEnd
from serjax.interruption import StopRequest
from serjax.models.variables import Variables
from serjax.training.config.resolve import ResolvedRunConfig
from serjax.training.devices import batch_sharding, memory, multi_step, processes
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.input.dataset import RunDataset
from serjax.training.input.sampler import Sampler
from serjax.training.input.source import source_of
from serjax.training.loop import Display, LoopState, train
from serjax.training.objective.auxiliary_loss import AuxiliaryLoss
from serjax.training.objective.task_loss import LossFunction, PredictionFunction
from serjax.training.optimization import freeze
from serjax.training.optimization.optimizer import rate_after
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.state import TrainState, state_of
from serjax.training.step import StepResult, TrainStep, make_train_step
from serjax.training.trackers import profiling, tensorboard
from serjax.training.trackers.progress import Clock, ProgressDisplay


@dataclasses.dataclass(frozen=True, eq=False)
class RunContext:
    """Parts of a run that its stages share.

    Attributes:
        config: Configuration, its defaults filled in.
        dataset: Dataset of the run.
        model: Network.
        front_end: Front end of the network.
        console: Console for messages.
        clock: Clock of the run.
        resume: True if the run continues from its checkpoints.
        profile: First and last step of a profile, from 1; None: no profile.
        tensorboard: True if event files for TensorBoard are written.
    """

    config: ResolvedRunConfig
    dataset: RunDataset
    model: nn.Module
    front_end: FrontEnd
    console: Console
    clock: Clock
    resume: bool = False
    profile: tuple[int, int] | None = None
    tensorboard: bool = False

    def log(self, line: str) -> None:
        """Prints a line as it is, without wrapping it."""
        self.console.print(line)


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """A stage of training: its loss, predictions, optimizer and length.

    Attributes:
        key: PRNG key. `jax.random.split(key, 3)` are the keys of the initial weights, the orders
            and the steps.
        loss: Loss function.
        predict: Prediction function of evaluation.
        score: Function from predictions `[utterances, n]` and indices `[utterances]` to metrics:
            "loss", "wa", "ua" and perhaps more.
        optimizer: Function from the number of steps of an epoch to the optimizer and its learning
            rate.
        batch_size: Number of examples of a step.
        epochs: Maximum number of epochs.
        patience: Epochs without improvement after which the stage ends.
        monitor: Model-selection metric, one of `serjax.training.loop.MONITORS`.
        frozen: Layers that stay frozen, or train from a step on.
        name: Name of a stage of several; empty for the only one.
    """

    key: jax.Array
    loss: LossFunction
    predict: PredictionFunction
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    optimizer: Callable[[int], tuple[optax.GradientTransformation, optax.ScalarOrSchedule]]
    batch_size: int
    epochs: int
    patience: int
    monitor: str
    frozen: freeze.Frozen = dataclasses.field(default_factory=dict)
    name: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedStage:
    """Result of a stage.

    Attributes:
        variables: Best variables by the monitor.
        loop: Final state of the loop; the rows of its history have a `learning_rate`, that of
            the epoch's last step.
        evaluate: Function from ascending indices of utterances `[utterances]` to predictions
            `[utterances, n]` of the best variables.
    """

    variables: Variables
    loop: LoopState
    evaluate: Callable[[np.ndarray], np.ndarray]


def sharding_of(config: ResolvedRunConfig, batch_size: int, dataset: RunDataset) -> BatchSharding:
    """Returns the sharding of a run's batches.

    Raises:
        InputError: The batch cannot be divided evenly.
    """
    return batch_sharding.shard_batches(
        config.system.parallel,
        batch_size,
        config.optimizer.accumulate,
        config.optimizer.sync_batch_norm,
        streamed=dataset.lazy_waveforms is not None,
    )


def log_learning_rate(history: list[dict[str, float]], rate: Any, steps_per_epoch: int) -> None:
    """Adds the learning rate of each epoch's last step to the rows of a history."""
    for row in history:
        row["learning_rate"] = rate_after(rate, int(row["epoch"]) * steps_per_epoch)


def train_stage(
    run: RunContext,
    stage: Stage,
    initial: Callable[[], Variables],
    folder: Path,
    checkpoints: Path,
    auxiliary_losses: Mapping[str, AuxiliaryLoss] | None = None,
) -> TrainedStage:
    """Trains a stage, or the rest of an interrupted one.

    Args:
        run: Run that the stage belongs to.
        stage: Stage.
        initial: Function that returns the initial variables.
        folder: Run folder, for the profile and event files.
        checkpoints: Folder of the stage's checkpoints.
        auxiliary_losses: Auxiliary losses by name.

    Returns:
        Best variables, history and predictions.

    Raises:
        InputError: The device or the disk is too small, or a checkpoint does not fit.
        DivergedError: A loss or a weight is not finite.
        InterruptedRunError: A signal stopped the run, which is saved.
    """
    config, dataset, clock = run.config, run.dataset, run.clock
    auxiliary_losses = auxiliary_losses or {}
    sharding = sharding_of(config, stage.batch_size, dataset)
    _, order_key, step_key = jax.random.split(stage.key, 3)
    # A profile marks each step.
    scan_steps = 1 if run.profile is not None else multi_step.scan_steps(config.system.scan_steps)
    source = source_of(
        dataset, run.model, run.front_end, stage.batch_size, scan_steps, sharding, stage.predict
    )
    sampler = Sampler.of(
        dataset.examples,
        dataset.split.train,
        run.front_end,
        order_key,
        stage.batch_size,
        config.augmentation.copies,
    )
    optimizer, rate = stage.optimizer(sampler.steps)
    if stage.frozen:
        optimizer = freeze.optimizer(optimizer, stage.frozen)
    saved_states = Checkpoints(checkpoints)
    explained = functools.partial(
        memory.explain_out_of_memory,
        stage.batch_size,
        sharding.device_count,
        config.optimizer.accumulate,
        config.system.remat,
    )

    with explained(), run.console.status("compiling"), clock.timed("compile"):
        state = sharding.replicate(state_of(initial(), optimizer))
        examples = None if dataset.lazy_waveforms is not None else source.arguments[0]
        arrays = {}
        for name, auxiliary in auxiliary_losses.items():
            if auxiliary.describe():
                run.log(f"{name.replace('_', '-')}: {auxiliary.describe()}")
            arrays[name] = sharding.replicate(
                auxiliary.prepare(state.variables, examples, sampler.indices, stage.batch_size)
            )
    loop = LoopState(monitor=stage.monitor)
    saved = saved_states.restore_last(state, LoopState) if run.resume else None
    if saved is not None:
        state, loop = saved[0], LoopState(**saved[1])
        if loop.best_epoch:  # better refused now than after hours of training
            saved_states.restore_best(state.variables, loop.best_step)
    if not loop.is_over(stage.epochs, stage.patience):
        if saved is not None:
            run.log(f"resumed at epoch {loop.epoch}, batch {loop.batch}")
        if stage.name:
            run.log(f"{stage.name}: at most {stage.epochs} epochs of {sampler.steps} batches")
        with explained(), run.console.status("compiling"), clock.timed("compile"):
            step = make_train_step(
                run.model,
                run.front_end,
                optimizer,
                step_key,
                len(dataset.classes),
                augmentation=config.augmentation.preset,
                augment_copies=config.augmentation.copies,
                frozen=stage.frozen,
                auxiliary_losses=auxiliary_losses,
                loss=stage.loss,
                sharding=sharding,
                remat=config.system.remat,
                scan_steps=scan_steps,
            )
            compiled = step.lower(state, *source.arguments, arrays).compile()
            source.compile(state.variables)
        run.log(
            f"step: {memory.peak_bytes(compiled) / 2**20:.1f} MiB{sharding.describe()}"
            f"{f', {scan_steps} steps per call' if scan_steps > 1 else ''}"
        )

        def evaluate(variables: Variables) -> dict[str, float]:
            with clock.timed("evaluate"):
                predictions = source.evaluate(variables, dataset.split.validation)
                return stage.score(predictions, dataset.split.validation)

        done = int(state.step)
        with (
            explained(),
            clock.timed("train"),
            _profiled(run, compiled, arrays, done, folder) as call_step,
            _display(run, stage, folder, rate, sampler.steps, loop.epoch) as display,
            StopRequest().installed() as stop,
        ):
            state, loop = train(
                state,
                loop,
                step=call_step,
                feed=source.feed,
                order=sampler.order,
                evaluate=evaluate,
                checkpoints=saved_states,
                epochs=stage.epochs,
                patience=stage.patience,
                display=display,
                stop=stop,
                saved=functools.partial(write_times, clock, folder),
            )
    log_learning_rate(loop.history, rate, sampler.steps)
    best = saved_states.restore_best(state.variables, loop.best_step)
    return TrainedStage(best, loop, functools.partial(source.evaluate, best))


def write_times(clock: Clock, folder: Path) -> None:
    """Writes the times until a checkpoint, to which a resumed run adds its own.

    Args:
        clock: Clock of the run.
        folder: Run folder.
    """
    if processes.is_first():
        report.write_json(folder / "timing.json", clock.read())


def _call_step(
    step: jax.stages.Compiled,
    arrays: PyTree,
    state: TrainState,
    examples: PyTree,
    indices: jax.Array,
) -> tuple[TrainState, StepResult]:
    return step(state, examples, indices, arrays)


def _profiled(
    run: RunContext, step: jax.stages.Compiled, arrays: PyTree, done: int, folder: Path
) -> contextlib.AbstractContextManager[TrainStep]:
    """Returns the step as the loop calls it, some of its calls profiled if that is requested."""
    call: TrainStep = functools.partial(_call_step, step, arrays)
    if run.profile is None or not processes.is_first():
        return contextlib.nullcontext(call)
    return profiling.ProfiledStep(call, run.profile, done, folder / "profile", run.console)


@contextlib.contextmanager
def _display(
    run: RunContext,
    stage: Stage,
    folder: Path,
    rate: optax.ScalarOrSchedule,
    steps_per_epoch: int,
    first_epoch: int,
) -> Iterator[Display]:
    """Yields the display of the loop, which writes event files too if that is requested."""
    with ProgressDisplay(run.console) as display:
        if not run.tensorboard or not processes.is_first():
            yield display
            return
        writer = tensorboard.EventWriter(
            display,
            folder / "tensorboard" / stage.name,
            lambda epoch: rate_after(rate, epoch * steps_per_epoch),
            first_epoch,
        )
        with contextlib.closing(writer):
            yield writer
