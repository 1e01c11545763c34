"""The pretraining of RH-emo in two stages (Guizzo et al., IEEE/ACM TASLP 31, 2023).

First the autoencoder learns to reconstruct spectrograms, while its classifiers stand still; then
it learns emotions too. Each stage ends by its validation loss, and the second starts from the best
weights of the first. The encoder is the embedding that quaternion networks start from.
"""

import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from rich.console import Console

from serjax import report
from serjax.data import batches, dimensions
from serjax.data.batches import Examples
from serjax.files import PathLike
from serjax.models import pretrained
from serjax.rhemo.config import OF_STAGES, STAGES, RHEmoConfig, Stage
from serjax.rhemo.objective import outputs, reconstruction, scores, with_emotions
from serjax.training import freeze
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.config import RunConfig, front_end_of
from serjax.training.evaluate import Evaluator, evaluation_batch
from serjax.training.input.dataset import RunDataset, prepare
from serjax.training.input.feed import resident
from serjax.training.loop import LoopState, StopRequest, train
from serjax.training.run_folder import results
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.metadata import described
from serjax.training.run_folder.run_dir import open_folder
from serjax.training.state import Variables, create_state, parameter_count, state_of
from serjax.training.step import make_train_step
from serjax.training.trackers.progress import Clock, ProgressDisplay

# The classifiers, which the first stage does not train.
_HEADS: freeze.Frozen = {"discrete|valence|arousal|dominance": None}


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
    task: RunDataset
    examples: Examples
    targets: np.ndarray
    clock: Clock
    console: Console

    def evaluator(self, batch_size: int) -> Evaluator:
        front_end = front_end_of(self.run)
        return Evaluator(self.model, front_end, evaluation_batch(batch_size), outputs)

    def initial(self, key: jax.Array) -> Variables:
        """Variables from chance."""
        shape = input_shape(front_end_of(self.run))
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
                    front_end_of(self.run),
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
                ProgressDisplay(self.console) as display,
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
    run, stages = resolve(config), config.stages()
    front_end = front_end_of(run)
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
    for name in OF_STAGES:
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
    task, front_end = shared.task, front_end_of(shared.run)
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
