"""A run as its parts know it: what is run, its folder, and what it leaves there."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optax
from rich.console import Console

from serjax import report
from serjax.anti_transfer.source_network import chance_level_note
from serjax.training.config import RunConfig
from serjax.training.embedding import ENCODER_CORPUS
from serjax.training.input.dataset import RunDataset
from serjax.training.loop import LoopState
from serjax.training.optimizer import rate_after
from serjax.training.run_folder import results
from serjax.training.run_folder.metadata import described, device
from serjax.training.run_folder.run_dir import open_folder
from serjax.training.trackers.progress import Clock


@dataclasses.dataclass(frozen=True)
class Job:
    """What is run, where to, and what is told of it; `stack` is closed at its end."""

    config: RunConfig
    task: RunDataset
    out: Path | None
    resume: bool
    console: Console
    command: list[str]
    clock: Clock
    stack: contextlib.ExitStack
    profile: tuple[int, int] | None
    events: bool


def open_run(job: Job, described: dict[str, Any], fixed: Sequence[str], size: str) -> Path:
    """Opens the run folder, until the job's end, and says what is run."""
    console = job.console
    opened = open_folder(job.out, job.resume, described, fixed, console)
    folder = job.stack.enter_context(opened)
    tested = described["test_dataset"]
    sizes = ", ".join(f"{part} {count:,}" for part, count in described["utterances"].items())
    console.print(
        f"[bold]{described['model']}[/bold]{size} on {described['dataset']}"
        f"{f', tested on {tested}' if tested else ''}: "
        f"{sizes} utterances, {len(described['classes'])} classes; {device()}",
        highlight=False,
        soft_wrap=True,
    )
    for note in described["notes"]:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    return folder


def open_network_run(job: Job, parameters: int) -> Path:
    """Opens the folder of a network's run, and says what is run."""
    config = job.config
    # These leave the numbers, but for rounding.
    free = {"patience", "parallel", "remat", "scan_steps", "stream"}
    if config.optimizer.schedule != "cosine":
        free.add("epochs")
    fixed = [f.name for f in dataclasses.fields(config) if f.name not in free]
    about = described(config, job.task, job.command, parameters)
    size = f", {parameters:,} parameters,"
    if config.model.init is None and config.model.embedding is not None:
        if not config.anti_transfer:  # else it is a teacher's, which started as this one would
            size += f" {config.model.embedding} embedding,"
        if config.model.embedding == "pretrained" and config.heard_by_encoder():
            about["notes"].append(
                f"the pretrained embedding has heard speakers of {ENCODER_CORPUS}, so that figures "
                "on it may be too high; --embedding random has heard none"
            )
    notes = (chance_level_note(term.teacher) for term in config.anti_transfer)
    about["notes"] += [note for note in notes if note is not None]
    return open_run(job, about, fixed, size)


def finish_network_run(
    job: Job,
    folder: Path,
    loop: LoopState,
    rate: optax.ScalarOrSchedule,
    steps: int,
    parameters: int,
    predictions: report.Predictions,
) -> None:
    """Writes what the run of a network, of so many steps an epoch, leaves beside checkpoints."""
    for row in loop.history:
        row["learning_rate"] = rate_after(rate, int(row["epoch"]) * steps)
    report.write_history(folder / "history.csv", loop.history)
    kept = {
        "best_epoch": loop.best_epoch,
        "best_step": loop.best_step,
        "epochs": len(loop.history),
        "parameters": parameters,
    }
    results.write_results(folder, predictions, kept, job.task, job.clock, job.console)
