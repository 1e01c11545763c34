"""One run, from a corpus to a folder of results: the main job as a function."""

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from rich.console import Console

from serjax import models, pretrained, report
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.frontend import FrontEnd
from serjax.training import freeze, results
from serjax.training.anti_transfer import AntiTransferLoss, References
from serjax.training.checkpoint import Checkpoints
from serjax.training.described import described, device
from serjax.training.display import RunDisplay, timed
from serjax.training.evaluate import Evaluator, scores
from serjax.training.folder import open_folder
from serjax.training.loop import LoopState, StopRequest, train
from serjax.training.state import TrainState, Variables, create_state, parameter_count, state_of
from serjax.training.step import StepResult, make_train_step
from serjax.training.task import (
    RunConfig,
    Task,
    abstract_variables,
    build_model,
    input_shape,
    prepare,
)


def _optimizer(config: RunConfig, steps: int) -> optax.GradientTransformation:
    """Adam, or AdamW, with the configured schedule over so many steps."""
    rate = config.learning_rate
    if config.schedule == "cosine":
        # The rise keeps Adam's first steps, which are full-sized whatever the gradient, from
        # throwing wide layers off their initial scale.
        rate = optax.warmup_cosine_decay_schedule(0.0, rate, max(steps // 20, 1), steps)
    if config.weight_decay:
        return optax.adamw(rate, weight_decay=config.weight_decay)
    return optax.adam(rate)


def _initial_state(
    config: RunConfig,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    front_end: FrontEnd,
    task: Task,
    teachers: AntiTransferLoss | None,
) -> TrainState:
    """The state before the first step, with weights from chance, a run, a file, or a teacher.

    An embedding is the first teacher's, or the one that ships with the library.
    """
    if config.initial is not None:
        options = dict(config.model_options)
        _, variables = pretrained.load(
            config.model, config.initial, len(task.classes), key=key, **options
        )
        return state_of(variables, optimizer)
    state = create_state(model, optimizer, key, input_shape(front_end))
    embedding: Variables = {}
    if teachers is not None:
        embedding = teachers.embedding
    if not embedding and isinstance(model, models.Embedded) and config.embedding == "pretrained":
        embedding = pretrained.encoder()
    own = pretrained.with_embedding(state.variables, jax.device_put(embedding))
    return dataclasses.replace(state, params=own["params"], batch_stats=own["batch_stats"])


def _references(
    teachers: AntiTransferLoss,
    config: RunConfig,
    state: TrainState,
    examples: Examples,
    members: np.ndarray,
    console: Console,
) -> References:
    """What the anti-transfer loss reads: kept where that is possible, else computed every step."""
    console.print(f"anti-transfer: {teachers.describe()}", highlight=False, soft_wrap=True)
    reason = teachers.why_not_kept(len(members), config.augmentation, config.freeze)
    if reason is not None:
        console.print(f"its teachers run in every step: {reason}", highlight=False, soft_wrap=True)
        return teachers.references()
    kept = teachers.keep(state.variables, examples, members, config.batch_size or 1)
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
    out: Path | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
) -> Path:
    """Trains, tests and reports.

    Args:
        config: What to run.
        out: Run folder; None: the first free name below `runs/`.
        resume: Go on with the run in the folder, to the numbers it would have had.
        console: Where to tell of it; None: standard output.
        command: As it is to be shown in the report.

    Returns:
        The run folder, filled with `config.json`, `history.csv`, `metrics.json`,
        `predictions.csv`, `timing.json`, `checkpoints/`, `curves.png`, `confusion.png`,
        `confusion.pdf` and `report.html`.

    Raises:
        InputError: Something that the user can mend, found before anything is compiled.
        DivergedError: The loss became infinite or no number.
        InterruptedRunError: SIGINT or SIGTERM; the run can be resumed.
    """
    console = console or Console()
    started = time.monotonic()
    seconds: dict[str, float] = {}
    config.check()
    config = config.resolved()
    epochs, batch_size = config.epochs, config.batch_size
    assert epochs is not None
    assert batch_size is not None
    front_end = models.front_end(config.model)
    with timed(seconds, "data"):
        task = prepare(config, front_end, console)
    model = build_model(config, len(task.classes))
    abstract = abstract_variables(model, front_end)
    parameters = parameter_count(abstract["params"])
    freeze.check_patterns(config.freeze, abstract["params"])
    teachers = None
    if config.anti_transfer:
        teachers = AntiTransferLoss(model, abstract, front_end, config.model, config.anti_transfer)
    about = described(config, task, command or [], parameters)
    free = {"patience"} if config.schedule == "cosine" else {"patience", "epochs"}
    fixed = [f.name for f in dataclasses.fields(config) if f.name not in free]
    folder = open_folder(out, resume, about, fixed, console)
    console.print(
        f"[bold]{config.model}[/bold], {parameters:,} parameters, on {config.dataset}: "
        f"{about['utterances']} utterances, {len(task.classes)} classes; {device()}",
        highlight=False,
        soft_wrap=True,
    )
    for note in task.corpus.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)

    init_key, order_key, step_key = jax.random.split(jax.random.key(config.seed), 3)
    checkpoints = Checkpoints(folder / "checkpoints")
    evaluator = Evaluator(model, front_end, batch_size)
    owners = np.asarray(task.examples.utterance)
    members = np.flatnonzero(np.isin(owners, task.split.train)).astype(np.int32)
    if front_end.variable_length:
        # An epoch takes one random chunk of each utterance, however long it is.
        members = members[np.unique(owners[members], return_index=True)[1]]
    examples = jax.device_put(task.examples)
    optimizer = _optimizer(config, epochs * -(-len(members) // batch_size))
    if config.freeze:
        optimizer = freeze.optimizer(optimizer, config.freeze)

    with console.status("compiling"), timed(seconds, "compile"):
        state = _initial_state(config, model, optimizer, init_key, front_end, task, teachers)
        references = None
        if teachers is not None:
            references = _references(teachers, config, state, examples, members, console)
        step = make_train_step(
            model,
            front_end,
            optimizer,
            step_key,
            len(task.classes),
            config.augmentation,
            frozen=config.freeze,
            anti_transfer=teachers,
        )
        indices = jax.ShapeDtypeStruct((batch_size,), np.int32)
        compiled = step.lower(state, examples, indices, references).compile()
        evaluator.compile(state.variables, examples)

    def order(epoch: int) -> np.ndarray:
        return batches.epoch_order(jax.random.fold_in(order_key, epoch), members, batch_size)

    def evaluate(variables: Any) -> dict[str, float]:
        with timed(seconds, "evaluate"):
            probabilities = evaluator(variables, examples, task.split.validation)
            return scores(probabilities, task.labels[task.split.validation])

    loop = LoopState()
    saved = checkpoints.restore_last(state) if resume else None
    if saved is not None:
        state, loop = saved[0], LoopState(**saved[1])
        console.print(f"resumed at epoch {loop.epoch}, batch {loop.batch}", highlight=False)
    with (
        timed(seconds, "train"),
        RunDisplay(console) as display,
        StopRequest().installed() as stop,
    ):
        state, loop = train(
            state,
            loop,
            step=functools.partial(_with_references, compiled, references),
            examples=examples,
            order=order,
            evaluate=evaluate,
            checkpoints=checkpoints,
            epochs=epochs,
            patience=config.patience,
            display=display,
            stop=stop,
        )
    seconds["train"] -= seconds.get("evaluate", 0.0)
    with timed(seconds, "evaluate"):
        best = checkpoints.restore_best(state.variables, loop.best_step)
        predictions = results.predict_parts(
            lambda utterances: evaluator(best, examples, utterances), task
        )
    with console.status("writing the report"), timed(seconds, "report"):
        metrics = results.write_results(folder, predictions, loop, parameters)
        report.write_json(folder / "timing.json", seconds)  # the page shows them
        hardest = results.hardest_with_sound(predictions, task, front_end.sample_rate)
        page = report.write_page(folder, hardest=hardest)
    seconds["total"] = time.monotonic() - started
    report.write_json(folder / "timing.json", seconds)
    report.print_summary(console, metrics)
    spent = "  ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    console.print(f"{spent}\nreport {page}", highlight=False, soft_wrap=True)
    return folder
