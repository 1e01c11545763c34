"""One run, from a corpus to a folder of results."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import optax

from serjax import models, report
from serjax.console import Console
from serjax.data import Corpus
from serjax.errors import InputError
from serjax.features.front_ends import FrontEnd
from serjax.files import PathLike
from serjax.models import pretrained
from serjax.models.variables import Variables, check_patterns
from serjax.training import classical_run
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.checks import check_config
from serjax.training.config import RunConfig
from serjax.training.config.resolve import (
    ResolvedRunConfig,
    front_end_of,
    resolve,
    uses_encoder_corpus,
)
from serjax.training.devices import processes
from serjax.training.evaluate import scores
from serjax.training.input.dataset import RunDataset, prepare_dataset
from serjax.training.input.recordings import Recordings
from serjax.training.loop import LoopState
from serjax.training.objective import auxiliary_loss
from serjax.training.objective.auxiliary_loss import AuxiliaryContext, AuxiliaryLoss
from serjax.training.objective.task_loss import class_probabilities, classification_loss
from serjax.training.optimization.optimizer import learning_rate, make_optimizer
from serjax.training.run_folder import results
from serjax.training.run_folder.metadata import device, run_metadata
from serjax.training.run_folder.run_dir import check_free, earlier_times, open_folder
from serjax.training.stage import RunContext, Stage, sharding_of, train_stage
from serjax.training.state import create_state, parameter_count
from serjax.training.trackers import profiling
from serjax.training.trackers import tensorboard as tensorboard_tracker
from serjax.training.trackers.progress import Clock


def run(
    config: RunConfig,
    *,
    out: PathLike | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
    recordings: Recordings | None = None,
    corpus: Corpus | None = None,
    profile: tuple[int, int] | None = None,
    tensorboard: bool = False,
) -> Path:
    """Trains, tests and reports a model.

    Args:
        config: Configuration of the run.
        out: Run folder; None: the first free name below `runs/`.
        resume: Continue the run in the folder, to the results it would have had.
        console: Console for messages; None: standard output.
        command: Command line, for the report.
        recordings: Recordings of the run's corpora, if they are already read.
        corpus: Corpus of the caller, instead of one that is loaded by name.
        profile: First and last step, from 1, of a profile for Perfetto or TensorBoard, which is
            written to `profile/` of the run folder.
        tensorboard: Write event files for TensorBoard, to `tensorboard/` of the run folder.

    Returns:
        The run folder, with `config.json`, `history.csv`, `metrics.json`, `predictions.csv`,
        `timing.json`, `checkpoints/`, `curves.png`, `confusion.png`, `confusion.pdf` and
        `report.html`. Classical models have no history, curves and checkpoints.

    Raises:
        InputError: An error that the user can fix, found before anything is compiled.
        DivergedError: The loss is not finite.
        InterruptedRunError: SIGINT or SIGTERM; the run can be resumed.
    """
    console = Console.of(console, quiet=not processes.is_first())
    clock = Clock()
    if corpus is not None:
        config = config.replace(dataset=corpus.name)
    _check(config, profile, tensorboard)
    out = None if out is None else Path(out)
    if out is not None:
        processes.by_first(functools.partial(check_free, out, resume))
    corpora = None if corpus is None else (corpus,)
    dataset = load_dataset(config, console, clock, recordings, corpora)
    if config.is_classical:
        return _run_classical(config, dataset, out, resume, console, command or [], clock)
    resolved = resolve(config)
    context = RunContext(
        resolved,
        dataset,
        build_model(resolved, len(dataset.classes)),
        front_end_of(resolved),
        console,
        clock,
        resume,
        profile,
        tensorboard,
    )
    return _run_network(context, out, command or [])


def _check(config: RunConfig, profile: tuple[int, int] | None, events: bool) -> None:
    """Checks all options before the corpus is read."""
    check_config(config)
    if config.model.init is not None and not Path(config.model.init).exists():
        raise InputError(f"init: expected the folder of a run, or a file: no {config.model.init}")
    for name, is_requested in (("profile", profile is not None), ("tensorboard", events)):
        if is_requested and config.is_classical:
            raise InputError(
                f"{name}: expected none with {config.model.name}, which takes no steps"
            )
    if profile is not None:
        profiling.check(profile)
    if events:
        tensorboard_tracker.check()


def load_dataset(
    config: RunConfig,
    console: Console,
    clock: Clock,
    recordings: Recordings | None = None,
    corpora: tuple[Corpus, ...] | None = None,
) -> RunDataset:
    """Reads and splits the corpus of a run, and checks that all processes have the same.

    Args:
        config: Configuration of the run.
        console: Console for messages.
        clock: Clock of the run.
        recordings: Recordings of the run's corpora, if they are already read.
        corpora: Corpora of the caller, instead of those that are loaded by name.

    Raises:
        InputError: The corpus or its split does not fit the run, or processes differ.
    """
    with clock.timed("data"):
        processes.check_same("configuration", repr(config))
        dataset = processes.by_all(
            lambda: prepare_dataset(config, front_end_of(config), console, recordings, corpora)
        )
        processes.check_same("corpus", *jax.tree.leaves(dataset.examples))
    return dataset


def _run_classical(
    config: RunConfig,
    dataset: RunDataset,
    out: Path | None,
    resume: bool,
    console: Console,
    command: list[str],
    clock: Clock,
) -> Path:
    """Fits a classical model. It takes seconds, so resuming starts it again."""
    metadata = run_metadata(config, dataset, command)
    with open_folder(out, resume, config, metadata, console) as folder:
        print_header(console, config, metadata)
        with console.status("fitting"):
            classifier, probabilities = classical_run.fit(config, dataset, clock)
        with clock.timed("evaluate"):
            predictions = results.predict_splits(probabilities, dataset)
        details = {"hyperparameters": classifier.hyperparameters}
        processes.by_first(
            lambda: results.write_results(folder, predictions, details, dataset, clock, console)
        )
    return folder


def _run_network(context: RunContext, out: Path | None, command: list[str]) -> Path:
    """Trains a network in one stage."""
    config, dataset, model = context.config, context.dataset, context.model
    sharding_of(config, config.optimizer.batch_size, dataset)  # refused before anything is written
    abstract = abstract_variables(model, context.front_end)
    check_patterns(config.model.freeze, abstract["params"])
    auxiliary_losses = auxiliary_loss.make_auxiliary_losses(
        AuxiliaryContext(model, abstract, context.front_end, config, context.console)
    )
    metadata = network_metadata(config, dataset, command, abstract, auxiliary_losses)
    key = jax.random.key(config.seed)
    stage = Stage(
        key=key,
        loss=classification_loss(config.optimizer.loss),
        predict=class_probabilities,
        score=lambda predictions, utterances: scores(predictions, dataset.labels[utterances]),
        optimizer=functools.partial(configured_optimizer, config),
        batch_size=config.optimizer.batch_size,
        epochs=config.optimizer.epochs,
        patience=config.optimizer.patience,
        monitor=config.optimizer.monitor,
        frozen=config.model.freeze,
    )
    embeddings = [loss.initial_embedding for loss in auxiliary_losses.values()]
    initial = functools.partial(
        initial_variables,
        config,
        model,
        jax.random.split(key, 3)[0],
        context.front_end,
        len(dataset.classes),
        next(filter(None, embeddings), None),
    )
    with open_folder(out, context.resume, config, metadata, context.console) as folder:
        print_header(context.console, config, metadata)
        context.clock.add(earlier_times(folder))
        trained = train_stage(
            context, stage, initial, folder, folder / "checkpoints", auxiliary_losses
        )
        with context.clock.timed("evaluate"):
            predictions = results.predict_splits(trained.evaluate, dataset)
        processes.by_first(
            lambda: write_network_run(
                folder,
                trained.loop,
                metadata["parameters"],
                predictions,
                dataset,
                context.clock,
                context.console,
            )
        )
    return folder


def configured_optimizer(
    config: ResolvedRunConfig, steps_per_epoch: int
) -> tuple[optax.GradientTransformation, optax.ScalarOrSchedule]:
    """Makes the configured optimizer and its learning rate."""
    rate = learning_rate(config, steps_per_epoch, config.optimizer.epochs)
    return make_optimizer(config, rate), rate


def initial_variables(
    config: ResolvedRunConfig,
    model: nn.Module,
    key: jax.Array,
    front_end: FrontEnd,
    num_classes: int,
    embedding: Variables | None = None,
) -> Variables:
    """Returns initial variables: random, those of a run, or published weights.

    Args:
        config: Configuration of the run.
        model: Network.
        key: PRNG key for the weights.
        front_end: Front end of the network.
        num_classes: Number of classes.
        embedding: Variables of the embedding, `{collection: tree}`; None: the configured ones.
    """
    if config.model.init is not None:
        _, variables = pretrained.load(
            config.model.name,
            config.model.init,
            num_classes,
            input_channels=front_end.input_shape[-1],
            fresh=config.model.fresh,
            key=key,
            **config.model.options,
        )
        return variables
    variables = create_state(model, optax.identity(), key, input_shape(front_end)).variables
    if embedding is None and isinstance(model, models.Embedded):
        embedding = _configured_embedding(config.model.embedding)
    return pretrained.with_embedding(variables, jax.device_put(embedding or {}))


def _configured_embedding(name: str | None) -> Variables | None:
    """Returns the variables of the configured encoder; None: random ones."""
    if name in (None, "random"):
        return None
    return pretrained.encoder(None if name == "pretrained" else name)


def network_metadata(
    config: ResolvedRunConfig,
    dataset: RunDataset,
    command: list[str],
    abstract: Variables,
    auxiliary_losses: Mapping[str, AuxiliaryLoss] | None = None,
) -> dict[str, Any]:
    """Returns the metadata of a network's run, with notes on its results."""
    metadata = run_metadata(config, dataset, command, parameter_count(abstract["params"]))
    is_pretrained = config.model.init is None and config.model.embedding == "pretrained"
    if is_pretrained and uses_encoder_corpus(config):
        metadata["notes"].append(
            f"the pretrained encoder was trained on speakers of {pretrained.ENCODER_CORPUS}, so "
            "results on it may be too high; --embedding random uses none of them"
        )
    for loss in (auxiliary_losses or {}).values():
        metadata["notes"] += loss.notes
    return metadata


def print_header(console: Console, config: RunConfig, metadata: Mapping[str, Any]) -> None:
    """Prints the model, the corpus, the split, and the notes of a run."""
    size = ""
    if "parameters" in metadata:
        size = f", {metadata['parameters']:,} parameters,"
        if config.model.init is None and config.model.embedding:
            size += f" {config.model.embedding} embedding,"
    tested = config.data.test_dataset
    sizes = ", ".join(f"{split} {count:,}" for split, count in metadata["utterances"].items())
    console.print(
        f"{config.model.name}{size} on {config.data.dataset}"
        f"{f', tested on {tested}' if tested else ''}: "
        f"{sizes} utterances, {len(metadata['classes'])} classes; {device()}",
    )
    for note in metadata["notes"]:
        console.print(f"note: {note}")


def write_network_run(
    folder: Path,
    loop: LoopState,
    parameters: int,
    predictions: report.Predictions,
    dataset: RunDataset,
    clock: Clock,
    console: Console,
    **details: Any,
) -> None:
    """Writes the files of a network's run other than its checkpoints.

    Args:
        folder: Run folder.
        loop: Final state of the loop, its history with learning rates.
        parameters: Number of parameters of the network.
        predictions: Predictions for the validation and the test set.
        dataset: Dataset of the run.
        clock: Clock of the run.
        console: Console for the summary.
        **details: Further content of `metrics.json`.
    """
    report.write_history(folder / "history.csv", loop.history)
    content = {
        "best_epoch": loop.best_epoch,
        "best_step": loop.best_step,
        "epochs": len(loop.history),
        "parameters": parameters,
        **details,
    }
    results.write_results(folder, predictions, content, dataset, clock, console)
