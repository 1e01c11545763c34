"""Teachers for anti-transfer: networks trained for a task that emotion should not depend on."""

import dataclasses
import json
from pathlib import Path

from rich.console import Console

from serjax import report
from serjax.anti_transfer.loss import layers_of
from serjax.anti_transfer.source_network import UNTRAINED
from serjax.errors import InputError, unknown_name
from serjax.training.config import AntiTransfer, RunConfig
from serjax.training.devices import processes
from serjax.training.run import run

TASKS = {"speaker": "speaker", "word": "text"}
"""The orthogonal tasks of Guizzo et al. 2023, and the column of the corpus that each recognizes."""


# What decides which utterances a student is trained on.
_DIVIDING = (
    *("dataset", "data_dir", "dataset_options", "target", "labels", "split", "fractions", "fold"),
    *("split_file", "test_dataset", "test_dir", "test_dataset_options", "split_seed"),
)


def source_task_config(task: str, student: RunConfig) -> RunConfig:
    """How a student's own corpus trains its teacher: on the training part alone, split at random.

    Raises:
        InputError: An unknown task.
    """
    if task not in TASKS:
        raise InputError(unknown_name("task", task, TASKS))
    return student.replace(
        target=TASKS[task],
        labels=None,
        split="random",
        fractions=RunConfig.fractions,
        fold=None,
        split_file=None,
        test_dataset=None,
        test_dir=None,
        test_dataset_options={},
        # The student takes its teacher's, which must not have heard what the student is tested on.
        embedding=resolve(student).embedding,
        training_set_of=RunConfig.make(
            model=student.model.name,
            seed=student.seed,
            silence=student.model.silence,
            skip_bad_files=student.data.skip_bad_files,
            **{name: getattr(student, name) for name in _DIVIDING},
        ),
        init=None,
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
    config = source_task_config(task, student)
    wanted = json.loads(json.dumps(dataclasses.asdict(config)))
    name = f"{task}-{config.data.dataset}-{config.model.name}-{student.data.split}-{student.seed}"

    def find() -> tuple[Path, bool, bool]:
        number = 1
        while True:
            folder = Path("runs/teachers") / (name if number == 1 else f"{name}-{number}")
            if not (folder / "config.json").exists():
                break
            described = report.read_config(folder / "config.json")
            if all(described.get(key) == value for key, value in wanted.items()):
                break
            number += 1
        return folder, folder.exists(), (folder / "metrics.json").exists()

    folder, begun, finished = processes.by_first(find)
    if finished:
        console.print(f"teacher for {task}: {folder}", highlight=False, soft_wrap=True)
        return folder
    console.print(f"training a teacher for {task} first", highlight=False, soft_wrap=True)
    return run(config, out=folder, resume=begun, console=console, command=command)


def with_source_network(
    term: AntiTransfer, student: RunConfig, console: Console, command: list[str]
) -> AntiTransfer:
    """The same with the teacher's folder, where a task is named instead, see `find_or_train`.

    Raises:
        InputError: Neither a folder nor a task, or a layer that the student does not have.
    """
    if term.teacher == UNTRAINED or processes.by_first(Path(term.teacher).exists):
        return term
    if term.teacher not in TASKS:
        raise InputError(
            "anti-transfer: expected the folder of a finished run, or "
            f"{' or '.join((*TASKS, UNTRAINED))}; found neither in {term.teacher!r}"
        )
    layers_of(term, student)
    folder = find_or_train(term.teacher, student, console, command)
    return dataclasses.replace(term, teacher=str(folder))
