"""Teachers for anti-transfer: networks trained for a task that emotion should not depend on."""

import dataclasses
import json
from pathlib import Path

from rich.console import Console

from serjax import report
from serjax.errors import InputError, unknown_name
from serjax.training.run import run
from serjax.training.task import RunConfig

TASKS = {"speaker": "speaker", "word": "text"}
"""The orthogonal tasks of Guizzo et al. 2023, and the column of the corpus that each recognizes."""


def teacher_config(task: str, student: RunConfig) -> RunConfig:
    """How a student's own corpus trains its teacher: on the training part alone, split at random.

    Raises:
        InputError: An unknown task.
    """
    if task not in TASKS:
        raise InputError(unknown_name("task", task, TASKS))
    return dataclasses.replace(
        student,
        target=TASKS[task],
        split="random",
        fractions=RunConfig.fractions,
        training_part_of={
            "target": student.target,
            "split": student.split,
            "fractions": student.fractions,
            "seed": student.seed,
        },
        initial=None,
        freeze={},
        anti_transfer=(),
    ).resolved()


def find_or_train(task: str, student: RunConfig, console: Console, command: list[str]) -> Path:
    """The folder of the teacher for a task: that of an earlier run, which is finished first if
    it was interrupted, or of a new one.

    Args:
        task: One of `TASKS`.
        student: What is to learn otherwise.
        console: Where to tell of it.
        command: As it is to be shown in the teacher's report.

    Raises:
        InputError: An unknown task, or a corpus without its column.
    """
    config = teacher_config(task, student)
    wanted = json.loads(json.dumps(dataclasses.asdict(config)))
    name = f"{task}-{config.dataset}-{config.model}-{student.split}-{student.seed}"
    number = 1
    while True:
        folder = Path("runs/teachers") / (name if number == 1 else f"{name}-{number}")
        if not (folder / "config.json").exists():
            break
        described = report.read_config(folder / "config.json")
        if all(described.get(key) == value for key, value in wanted.items()):
            break
        number += 1
    if (folder / "metrics.json").exists():
        console.print(f"teacher for {task}: {folder}", highlight=False, soft_wrap=True)
        return folder
    console.print(f"training a teacher for {task} first", highlight=False, soft_wrap=True)
    return run(config, out=folder, resume=folder.exists(), console=console, command=command)
