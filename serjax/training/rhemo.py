"""The pretraining of RH-emo in two stages (Guizzo et al., IEEE/ACM TASLP 31, 2023).

First the autoencoder learns to reconstruct spectrograms, while its classifiers stand still; then
it learns emotions too. Each stage ends by its validation loss, and the second starts from the best
weights of the first. The encoder is the embedding that quaternion networks start from.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from serjax import losses, pretrained, report
from serjax.data import batches, dimensions
from serjax.data.batches import Examples
from serjax.errors import InputError, unknown_name
from serjax.files import PathLike
from serjax.models.rhemo import DIMENSIONS
from serjax.training import evaluate, freeze, results
from serjax.training.calls import resident
from serjax.training.checkpoint import Checkpoints
from serjax.training.described import described
from serjax.training.display import Clock, RunDisplay
from serjax.training.evaluate import Evaluator
from serjax.training.folder import open_folder
from serjax.training.loop import LoopState, StopRequest, train
from serjax.training.objective import Batch, Features, Objective
from serjax.training.state import Variables, create_state, parameter_count, state_of
from serjax.training.step import make_train_step
from serjax.training.task import (
    RunConfig,
    Task,
    abstract_variables,
    build_front_end,
    build_model,
    input_shape,
    prepare,
)

STAGES = ("reconstruction", "emotions")

# The classifiers, which the first stage does not train.
_HEADS: freeze.Frozen = {"discrete|valence|arousal|dominance": None}


@dataclasses.dataclass(frozen=True)
class Stage:
    """Settings of one stage.

    Attributes:
        epochs: At most.
        batch_size: Examples of a step.
        learning_rate: Of Adam.
        patience: Epochs without a lower validation loss after which it ends.
        weight_decay: Times the parameters, added to their gradient, as PyTorch's Adam does.
        warmup_epochs: Epochs in which the weight of the emotions' loss rises from 0 to its own.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    weight_decay: float = 0.0
    warmup_epochs: int = 0

    def check(self, name: str) -> None:
        """Raises InputError for values that no stage can have."""
        for field in ("epochs", "batch_size", "patience"):
            if not getattr(self, field) >= 1:
                raise InputError(
                    f"{name}, {field}: expected at least 1, found {getattr(self, field)}"
                )
        if not self.learning_rate > 0:
            raise InputError(
                f"{name}, learning_rate: expected more than 0, found {self.learning_rate}"
            )
        for field in ("weight_decay", "warmup_epochs"):
            if not getattr(self, field) >= 0:
                raise InputError(
                    f"{name}, {field}: expected at least 0, found {getattr(self, field)}"
                )


# As published; no number of epochs is, for patience ends them.
_PUBLISHED = (Stage(1000, 50, 1e-3, 100), Stage(1000, 20, 1e-6, 30, 1e-5))
# Minutes on two cores: smaller batches and a higher rate make the most of few epochs.
_EMBEDDED = (Stage(10, 16, 3e-3, 10), Stage(10, 16, 1e-3, 10, 1e-5))
_EMBEDDED_OPTIONS = {"hidden": 64}


@dataclasses.dataclass(frozen=True)
class RHEmoConfig:
    """What a pretraining is to do.

    Attributes:
        run: Model, corpus, split, seed and dtype. What a stage decides is left at its default.
        dimensions: "mapped": valence, arousal and dominance are the corpus's, or, where it has
            none, those of the emotion, see `serjax.data.dimensions`. "none": their classifiers
            are left out.
        reconstruction: Fields of the first `Stage` that differ from the published ones; from
            fewer epochs of smaller batches on the embedded corpus, where the classifiers are 64
            wide, not 4096.
        emotions: Of the second.
    """

    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig(model="rhemo"))
    dimensions: str = "mapped"
    reconstruction: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    emotions: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def check(self) -> None:
        """Raises InputError for values that no pretraining can have, before anything is read."""
        self.run.check()
        if not self.run.model.endswith("rhemo"):
            raise InputError(f"model: expected rhemo to be pretrained, found {self.run.model}")
        if self.dimensions not in ("mapped", "none"):
            raise InputError(unknown_name("dimensions", self.dimensions, ("mapped", "none")))
        default = RunConfig()
        for name in _OF_STAGES:
            if getattr(self.run, name) != getattr(default, name):
                raise InputError(
                    f"{name}: expected none of the whole pretraining, whose stages have their own "
                    f"settings; found {getattr(self.run, name)!r}"
                )
        for name, stage in zip(STAGES, self.stages(), strict=True):
            stage.check(name)

    def stages(self) -> tuple[Stage, Stage]:
        """Both stages, every setting filled in.

        Raises:
            InputError: A setting does not exist.
        """
        suited = _EMBEDDED if self.run.dataset == "synthetic" else _PUBLISHED
        known = [field.name for field in dataclasses.fields(Stage)]
        for name, given in zip(STAGES, (self.reconstruction, self.emotions), strict=True):
            for setting in given:
                if setting not in known:
                    raise InputError(unknown_name(f"setting of {name}", setting, known))
        return (
            dataclasses.replace(suited[0], **self.reconstruction),
            dataclasses.replace(suited[1], **self.emotions),
        )

    def resolved(self) -> RunConfig:
        """The run with the options of its model filled in."""
        options: dict[str, Any] = {"dimensions": self.dimensions == "mapped"}
        if self.run.dataset == "synthetic":
            options |= _EMBEDDED_OPTIONS
        options |= self.run.model_options
        return dataclasses.replace(self.run, target="emotion", model_options=options)


# Fields of a `RunConfig` that say how one training goes.
_OF_STAGES = (
    *("epochs", "batch_size", "learning_rate", "optimizer", "schedule", "staircase"),
    *("weight_decay", "patience"),
    *("augmentation", "initial", "embedding", "freeze", "anti_transfer", "training_part_of"),
    *("parallel", "sync_batch_norm", "accumulate", "remat", "steps_per_call"),
)


def _read_dimensions(features: Features) -> jax.Array:
    """Logits `[batch, 3]` of valence, arousal and dominance, or `[batch, 0]`."""
    found = [features[name] for name in DIMENSIONS if name in features]
    some = features["reconstruction_logits"]
    return jnp.stack(found, axis=-1) if found else jnp.zeros((len(some), 0), jnp.float32)


def reconstruction(logits: jax.Array, features: Features, batch: Batch) -> jax.Array:
    """Objective of the first stage: binary cross-entropy of the spectrogram, in nats."""
    return losses.binary_cross_entropy(features["reconstruction_logits"], batch.x)


def with_emotions(targets: np.ndarray, warmup_steps: int = 0) -> Objective:
    """Makes the objective of the second stage: `reconstruction` and `losses.emotion_loss`.

    Args:
        targets: `[utterances, 3]` of valence, arousal and dominance in [0, 1], or
            `[utterances, 0]`.
        warmup_steps: Steps in which the second's weight rises evenly to its own; the loss of step
            k, from 0, has (k + 1) / warmup_steps of it.
    """

    def objective(logits: jax.Array, features: Features, batch: Batch) -> jax.Array:
        emotions = losses.emotion_loss(
            logits, _read_dimensions(features), batch.label, jnp.asarray(targets)[batch.utterance]
        )
        done = (batch.step + 1).astype(jnp.float32) / max(warmup_steps, 1)
        return reconstruction(logits, features, batch) + jnp.minimum(done, 1.0) * emotions

    return objective


def outputs(logits: jax.Array, features: Features, x: jax.Array) -> jax.Array:
    """What is evaluated: probabilities of classes and of dimensions, and the reconstruction's loss.

    Returns:
        `[batch, classes + dimensions + 1]` float32.
    """
    loss = losses.binary_cross_entropy(features["reconstruction_logits"], x)
    probable = jax.nn.softmax(logits, axis=-1), jax.nn.sigmoid(_read_dimensions(features))
    return jnp.concatenate([*probable, loss[:, None]], axis=-1)


def scores(
    found: np.ndarray, labels: np.ndarray, targets: np.ndarray, *, emotions: bool
) -> dict[str, float]:
    """Mean "loss" of a stage, "wa", "ua", and "reconstruction", its loss alone.

    Args:
        found: `[utterances, classes + dimensions + 1]`, see `outputs`.
        labels: `[utterances]` integer.
        targets: `[utterances, dimensions]` in [0, 1].
        emotions: Whether the stage learns them.
    """
    classes = found.shape[-1] - targets.shape[-1] - 1
    probabilities, high = found[:, :classes], found[:, classes:-1]
    tiny = np.finfo(np.float32).tiny
    loss = float(found[:, -1].mean())
    measured = {**evaluate.scores(probabilities, labels), "loss": loss, "reconstruction": loss}
    if emotions:
        odds = np.maximum(high, tiny) / np.maximum(1 - high, tiny)
        of_emotions = losses.emotion_loss(
            jnp.asarray(np.log(np.maximum(probabilities, tiny)), jnp.float32),
            jnp.asarray(np.log(odds), jnp.float32),
            jnp.asarray(labels),
            jnp.asarray(targets),
        )
        measured["loss"] += float(of_emotions.mean())
    return measured


def _optimizer(stage: Stage, *, emotions: bool) -> optax.GradientTransformation:
    decay = (
        optax.add_decayed_weights(stage.weight_decay) if stage.weight_decay else optax.identity()
    )
    adam = optax.chain(decay, optax.adam(stage.learning_rate))
    return adam if emotions else freeze.optimizer(adam, _HEADS)


@dataclasses.dataclass(frozen=True)
class _Pretraining:
    """What both stages share.

    Attributes:
        run: The resolved configuration.
        model: The network.
        task: The corpus.
        examples: Its sound, on the device.
        targets: `[utterances, dimensions]`.
        clock: Where the time went.
        console: Where to tell of it.
    """

    run: RunConfig
    model: nn.Module
    task: Task
    examples: Examples
    targets: np.ndarray
    clock: Clock
    console: Console

    def evaluator(self, batch_size: int) -> Evaluator:
        return Evaluator(self.model, build_front_end(self.run), batch_size, outputs)

    def initial(self, key: jax.Array) -> Variables:
        """Variables from chance."""
        shape = input_shape(build_front_end(self.run))
        return create_state(self.model, optax.identity(), key, shape).variables

    def train(
        self,
        number: int,
        stage: Stage,
        variables: Variables,
        checkpoints: Checkpoints,
        resume: bool,
    ) -> tuple[Variables, LoopState]:
        """Trains one stage, or what an interrupted one has left; returns its best variables."""
        emotions = STAGES[number] == "emotions"
        optimizer = _optimizer(stage, emotions=emotions)
        # As in a run of one stage, whose initial weights have the first key.
        _, order_key, step_key = jax.random.split(
            jax.random.fold_in(jax.random.key(self.run.seed), number), 3
        )
        examples, split = self.examples, self.task.split
        owners = np.asarray(self.task.examples.utterance)
        members = np.flatnonzero(np.isin(owners, split.train)).astype(np.int32)
        per_epoch = -(-len(members) // stage.batch_size)
        objective = (
            with_emotions(self.targets, stage.warmup_epochs * per_epoch)
            if emotions
            else reconstruction
        )
        evaluator = self.evaluator(stage.batch_size)
        state = state_of(variables, optimizer)
        loop = LoopState()
        saved = checkpoints.restore_last(state) if resume else None
        if saved is not None:
            state, loop = saved[0], LoopState(**saved[1])
        if not loop.is_over(stage.epochs, stage.patience):
            if saved is not None:
                self._say(f"resumed at epoch {loop.epoch}, batch {loop.batch}")
            self._say(f"{STAGES[number]}: at most {stage.epochs} epochs of {per_epoch} batches")
            with self.console.status("compiling"), self.clock.timed("compile"):
                step = make_train_step(
                    self.model,
                    build_front_end(self.run),
                    optimizer,
                    step_key,
                    len(self.task.classes),
                    frozen={} if emotions else _HEADS,
                    objective=objective,
                )
                indices = jax.ShapeDtypeStruct((stage.batch_size,), np.int32)
                compiled = step.lower(state, examples, indices).compile()
                evaluator.compile(state.variables, examples)

            def order(epoch: int) -> np.ndarray:
                key = jax.random.fold_in(order_key, epoch)
                return batches.epoch_order(key, members, stage.batch_size)

            def validate(variables: Variables) -> dict[str, float]:
                with self.clock.timed("evaluate"):
                    return self.scores(evaluator, variables, split.validation, emotions)

            before = self.clock.seconds.get("evaluate", 0.0)
            with (
                self.clock.timed("train"),
                RunDisplay(self.console) as display,
                StopRequest().installed() as stop,
            ):
                state, loop = train(
                    state,
                    loop,
                    step=compiled,
                    calls=resident(examples),
                    order=order,
                    evaluate=validate,
                    checkpoints=checkpoints,
                    epochs=stage.epochs,
                    patience=stage.patience,
                    display=display,
                    stop=stop,
                )
            self.clock.seconds["train"] -= self.clock.seconds["evaluate"] - before
        return checkpoints.restore_best(state.variables, loop.best_step), loop

    def scores(
        self, evaluator: Evaluator, variables: Variables, part: np.ndarray, emotions: bool
    ) -> dict[str, float]:
        """Scores of a part, see the function of that name."""
        found = evaluator(variables, self.examples, part)
        return scores(found, self.task.labels[part], self.targets[part], emotions=emotions)

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)


def _joined(loops: list[LoopState]) -> LoopState:
    """Both stages as one history, whose epochs go on counting; the best is the second's."""
    history: list[dict[str, float]] = []
    for number, loop in enumerate(loops, start=1):
        before = len(history)
        history += [
            {**row, "epoch": before + row["epoch"], "stage": number} for row in loop.history
        ]
    last = loops[-1]
    best = len(history) - len(last.history) + last.best_epoch
    return LoopState(history=history, best_epoch=best, best_step=last.best_step)


def pretrain(
    config: RHEmoConfig,
    *,
    out: PathLike | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
) -> Path:
    """Pretrains RH-emo, tests it and reports.

    Args:
        config: What to do.
        out: Run folder; None: the first free name below `runs/`.
        resume: Go on with the pretraining in the folder, in either stage, to the numbers it would
            have had.
        console: Where to tell of it; None: standard output.
        command: As it is to be shown in the report.

    Returns:
        The run folder, filled as `training.run` fills one. Besides, `checkpoints/reconstruction`
        holds the first stage's weights, `encoder.npz` the encoder alone, `reconstruction.png` some
        spectrograms and what is left of them, and `embedding.png` the four channels of one's
        embedding. `history.csv` has the columns `stage` and `validation_reconstruction`,
        `metrics.json` the reconstruction's loss in nats after each stage.

    Raises:
        InputError: Something that the user can mend, found before anything is compiled.
        DivergedError: The loss became infinite or no number.
        InterruptedRunError: SIGINT or SIGTERM; the run can be resumed.
    """
    console = console or Console()
    clock = Clock()
    config.check()
    run, stages = config.resolved(), config.stages()
    front_end = build_front_end(run)
    with clock.timed("data"):
        task = prepare(run, front_end, console)
        task.check_resident("rhemo")
    targets = np.zeros((len(task.corpus), 0), np.float32)
    own: list[str] = []
    if config.dimensions == "mapped":
        targets, own = dimensions.targets(task.corpus.utterances, task.split.train)
    model = build_model(run, len(task.classes))
    parameters = parameter_count(abstract_variables(model, front_end)["params"])
    about = described(run, task, command or [], parameters)
    for name in _OF_STAGES:
        del about[name]
    settings = {name: dataclasses.asdict(s) for name, s in zip(STAGES, stages, strict=True)}
    about |= {"dimensions": config.dimensions, "own_dimensions": own, **settings}
    fixed = [name for name in about if name in (*dataclasses.asdict(run), "dimensions", *STAGES)]
    with open_folder(out, resume, about, fixed, console) as folder:
        console.print(
            f"[bold]{run.model}[/bold], {parameters:,} parameters, on {run.dataset}: "
            f"{about['utterances']} utterances, {len(task.classes)} classes; {about['device']}",
            highlight=False,
            soft_wrap=True,
        )
        for note in task.corpus.notes:
            console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)

        shared = _Pretraining(
            run, model, task, jax.device_put(task.examples), targets, clock, console
        )
        variables = shared.initial(jax.random.split(jax.random.key(run.seed), 3)[0])
        evaluator = shared.evaluator(stages[1].batch_size)
        loops, losses_after = [], {}
        for number, (name, stage) in enumerate(zip(STAGES, stages, strict=True)):
            checkpoints = folder / "checkpoints"
            if name == "reconstruction":
                checkpoints = checkpoints / name
            variables, loop = shared.train(
                number, stage, variables, Checkpoints(checkpoints), resume
            )
            loops.append(loop)
            with clock.timed("evaluate"):
                losses_after[name] = {
                    part: shared.scores(evaluator, variables, indices, False)["reconstruction"]
                    for part, indices in (
                        ("validation", task.split.validation),
                        ("test", task.split.test),
                    )
                } | {"epochs": len(loop.history), "best_epoch": loop.best_epoch}
        with clock.timed("evaluate"):
            predictions = results.predict_parts(
                lambda part: evaluator(variables, shared.examples, part)[:, : len(task.classes)],
                task,
            )
        with console.status("drawing"), clock.timed("report"):
            loop = _joined(loops)
            report.write_history(folder / "history.csv", loop.history)
            pretrained.write_encoder(folder / "encoder.npz", variables)
            _draw(folder, shared, variables)
        kept = {
            "best_epoch": loop.best_epoch,
            "best_step": loop.best_step,
            "epochs": len(loop.history),
            "parameters": parameters,
            "reconstruction": losses_after,
        }
        results.write_results(folder, predictions, kept, task, clock, console)
        return folder


def _draw(folder: Path, shared: _Pretraining, variables: Variables) -> None:
    """Draws the first segments of one test utterance of each class, and what became of them."""
    task, front_end = shared.task, build_front_end(shared.run)
    first: dict[int, int] = {}
    for utterance in task.split.test:
        first.setdefault(int(task.labels[utterance]), int(utterance))
    shown = [first[label] for label in sorted(first)][:4]
    places = np.searchsorted(task.examples.utterance, shown)

    @jax.jit
    def apply(
        variables: Variables, examples: Examples, indices: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        start, length, _, _ = batches.select(examples, indices)
        size = front_end.segment_samples
        x, mask = front_end(batches.cut(examples.samples, start, length, size), length)
        features: Any
        _, features = shared.model.apply(variables, x, mask=mask)
        return x[..., 0], features["reconstruction"][..., 0], features["embedding"]

    x, again, embedding = jax.device_get(
        apply(variables, shared.examples, jax.device_put(places.astype(np.int32)))
    )
    seconds = front_end.frames * front_end.hop_samples / front_end.sample_rate
    max_hz = front_end.bins / front_end.fft_size * front_end.sample_rate
    names = [task.classes[task.labels[utterance]] for utterance in shown]
    report.plot_reconstructions(x, again, names, seconds, max_hz, folder / "reconstruction.png")
    report.plot_embedding(
        x[0], embedding[0], seconds, max_hz, folder / "embedding.png", title=names[0]
    )
