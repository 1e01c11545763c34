"""Pretraining of RH-emo in two stages (Guizzo et al., 2023, IEEE/ACM TASLP 31).

First the autoencoder learns to reconstruct spectrograms, while its classifiers are frozen; then it
learns emotions too. Each stage ends by its validation loss, and the second starts from the best
weights of the first. The encoder is the embedding that quaternion networks start from.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from serjax import report
from serjax.console import Console
from serjax.data import batches, dimensions
from serjax.data.batches import Examples
from serjax.files import PathLike
from serjax.models import pretrained
from serjax.models.variables import Variables
from serjax.rhemo.config import STAGES, RHEmoConfig, StageSettings
from serjax.rhemo.objective import emotions_loss, predict, reconstruction_loss, scores
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.config.resolve import front_end_of, resolve
from serjax.training.devices import processes
from serjax.training.input.sampler import Sampler
from serjax.training.loop import LoopState
from serjax.training.optimization import freeze
from serjax.training.run_folder import results
from serjax.training.run_folder.run_dir import earlier_times, open_folder
from serjax.training.single_run import (
    load_dataset,
    network_metadata,
    print_header,
    write_network_run,
)
from serjax.training.stage import RunContext, Stage, TrainedStage, sharding_of, train_stage
from serjax.training.state import create_state
from serjax.training.trackers.progress import Clock

# The classifiers, which the first stage does not train.
_CLASSIFIERS: freeze.Frozen = {"discrete|valence|arousal|dominance": None}


def make_optimizer(settings: StageSettings) -> optax.GradientTransformation:
    """Makes the optimizer of a stage: Adam, with weight decay as a term of the gradient.

    Args:
        settings: Settings of the stage.
    """
    decay = (
        optax.add_decayed_weights(settings.weight_decay)
        if settings.weight_decay
        else optax.identity()
    )
    return optax.chain(decay, optax.adam(settings.learning_rate))


def _stages(run: RunContext, config: RHEmoConfig, targets: np.ndarray) -> tuple[Stage, Stage]:
    """Returns the stages of a pretraining."""
    dataset = run.dataset

    def stage(number: int, settings: StageSettings) -> Stage:
        learns_emotions = STAGES[number] == "emotions"
        key = jax.random.fold_in(jax.random.key(run.config.seed), number)
        sampler = Sampler.of(
            dataset.examples,
            dataset.split.train,
            run.front_end,
            key,
            settings.batch_size,
            run.config.augmentation.copies,
        )
        warmup_steps = settings.warmup_epochs * sampler.steps
        return Stage(
            key=key,
            loss=emotions_loss(targets, warmup_steps) if learns_emotions else reconstruction_loss,
            predict=predict,
            score=lambda predictions, utterances: scores(
                predictions,
                dataset.labels[utterances],
                targets[utterances],
                with_emotions=learns_emotions,
            ),
            optimizer=lambda steps: (make_optimizer(settings), settings.learning_rate),
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            patience=settings.patience,
            monitor="loss",
            frozen={} if learns_emotions else _CLASSIFIERS,
            name=STAGES[number],
        )

    first, second = config.stages()
    return stage(0, first), stage(1, second)


def pretrain(
    config: RHEmoConfig,
    *,
    out: PathLike | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
    tensorboard: bool = False,
) -> Path:
    """Pretrains RH-emo, tests it and reports.

    Args:
        config: Configuration of the pretraining.
        out: Run folder; None: the first free name below `runs/`.
        resume: Continue the pretraining in the folder, in either stage, to the results it would
            have had.
        console: Console for messages; None: standard output.
        command: Command line, for the report.
        tensorboard: Write event files for TensorBoard, to `tensorboard/` of the run folder.

    Returns:
        The run folder, with the files of `serjax.training.run`, and `checkpoints/reconstruction`
        with the first stage's weights, `encoder.npz` with the encoder only, `reconstruction.png`
        with spectrograms and their reconstructions, and `embedding.png` with the four channels of
        an encoder output. `history.csv` has the columns `stage` and `validation_reconstruction`,
        `metrics.json` the loss of the reconstruction in nats after each stage.

    Raises:
        InputError: An error that the user can fix, found before anything is compiled.
        DivergedError: The loss is not finite.
        InterruptedRunError: SIGINT or SIGTERM; the run can be resumed.
    """
    console = Console.of(console, quiet=not processes.is_first())
    clock = Clock()
    config.check()
    run_config = config.run_config()
    resolved = resolve(run_config)
    front_end = front_end_of(resolved)
    dataset = load_dataset(resolved, console, clock)
    dataset.check_resident("rhemo")
    targets = np.zeros((len(dataset.corpus), 0), np.float32)
    corpus_dimensions: list[str] = []
    if config.dimensions == "mapped":
        targets, corpus_dimensions = dimensions.targets(
            dataset.corpus.utterances, dataset.split.train
        )
    model = build_model(resolved, len(dataset.classes))
    run = RunContext(
        resolved, dataset, model, front_end, console, clock, resume, tensorboard=tensorboard
    )
    stages = _stages(run, config, targets)
    for stage in stages:
        sharding_of(resolved, stage.batch_size, dataset)  # refused before anything is written
    metadata = network_metadata(
        resolved, dataset, command or [], abstract_variables(model, front_end)
    )
    metadata |= {"dimensions": config.dimensions, "corpus_dimensions": corpus_dimensions}
    metadata |= {
        name: dataclasses.asdict(settings)
        for name, settings in zip(STAGES, config.stages(), strict=True)
    }
    with open_folder(out, resume, run_config, metadata, console) as folder:
        print_header(console, run_config, metadata)
        clock.add(earlier_times(folder))
        trained, losses = _train_stages(run, stages, folder)
        with clock.timed("evaluate"):
            predictions = results.predict_splits(
                lambda utterances: trained[-1].evaluate(utterances)[:, : len(dataset.classes)],
                dataset,
            )
        variables = jax.device_get(trained[-1].variables)

        def write() -> None:
            with console.status("plotting"), clock.timed("report"):
                pretrained.write_encoder(folder / "encoder.npz", variables)
                _plot(folder, run, variables)
            write_network_run(
                folder,
                _joined([stage.loop for stage in trained]),
                metadata["parameters"],
                predictions,
                dataset,
                clock,
                console,
                reconstruction=losses,
            )

        processes.by_first(write)
    return folder


def _train_stages(
    run: RunContext, stages: tuple[Stage, Stage], folder: Path
) -> tuple[list[TrainedStage], dict[str, dict[str, float]]]:
    """Trains the stages one after the other, the second from the best weights of the first.

    Returns:
        Results of the stages, and the loss of the reconstruction after each.
    """
    key = jax.random.split(jax.random.key(run.config.seed), 3)[0]
    shape = input_shape(run.front_end)

    def initial() -> Variables:
        return create_state(run.model, optax.identity(), key, shape).variables

    trained: list[TrainedStage] = []
    losses: dict[str, dict[str, float]] = {}
    checkpoints = folder / "checkpoints"
    for stage, directory in zip(stages, (checkpoints / STAGES[0], checkpoints), strict=True):
        variables = (lambda: trained[-1].variables) if trained else initial
        result = train_stage(run, stage, variables, folder, directory)
        with run.clock.timed("evaluate"):
            losses[stage.name] = {
                split: stage.score(result.evaluate(utterances), utterances)["reconstruction"]
                for split, utterances in (
                    ("validation", run.dataset.split.validation),
                    ("test", run.dataset.split.test),
                )
            } | {"epochs": len(result.loop.history), "best_epoch": result.loop.best_epoch}
        trained.append(result)
    return trained, losses


def _joined(loops: list[LoopState]) -> LoopState:
    """Joins the histories of both stages; the best epoch is that of the second."""
    history: list[dict[str, float]] = []
    for number, loop in enumerate(loops, start=1):
        epochs_before = len(history)
        history += [
            {**row, "epoch": epochs_before + row["epoch"], "stage": number} for row in loop.history
        ]
    last = loops[-1]
    best = len(history) - len(last.history) + last.best_epoch
    return LoopState(history=history, best_epoch=best, best_step=last.best_step)


def _plot(folder: Path, run: RunContext, variables: Variables) -> None:
    """Plots the first segments of one test utterance of each class and their reconstructions."""
    dataset, front_end = run.dataset, run.front_end
    utterances: dict[int, int] = {}
    for utterance in dataset.split.test:
        utterances.setdefault(int(dataset.labels[utterance]), int(utterance))
    selected = [utterances[label] for label in sorted(utterances)][:4]
    indices = np.searchsorted(dataset.examples.utterance, selected)

    @jax.jit
    def apply(
        variables: Variables, examples: Examples, indices: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        start, length, _, _ = batches.select(examples, indices)
        waveform = batches.cut(examples.samples, start, length, examples.longest)
        x, mask = front_end(waveform, length)
        features: Any
        _, features = run.model.apply(variables, x, mask=mask)
        return x[..., 0], features["reconstruction"][..., 0], features["embedding"]

    arguments = (variables, dataset.examples, indices.astype(np.int32))
    x, reconstruction, embedding = jax.device_get(apply(*jax.device_put(arguments)))
    seconds = front_end.frames * front_end.hop_samples / front_end.sample_rate
    max_hz = front_end.bins / front_end.fft_size * front_end.sample_rate
    names = [dataset.classes[dataset.labels[utterance]] for utterance in selected]
    report.plot_reconstructions(
        x, reconstruction, names, seconds, max_hz, folder / "reconstruction.png"
    )
    report.plot_embedding(
        x[0], embedding[0], seconds, max_hz, folder / "embedding.png", title=names[0]
    )
