"""Source tasks of anti-transfer: networks trained for a task that emotion should not depend on."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax

from serjax import options, report
from serjax.anti_transfer.config import NAME, UNTRAINED, AntiTransfer
from serjax.anti_transfer.loss import layers_of
from serjax.console import Console
from serjax.errors import InputError, unknown_name
from serjax.files import portable
from serjax.files.locks import LockedError
from serjax.training.config import DataConfig, ModelConfig, RunConfig
from serjax.training.config.resolve import has_embedding, resolve
from serjax.training.devices import processes
from serjax.training.run_folder.run_dir import is_finished, wait_until_free
from serjax.training.single_run import run

TASKS = {"speaker": "speaker", "word": "text"}
"""Orthogonal tasks of Guizzo et al. (2023), and the column of the corpus that each recognizes."""

_FOLDER = Path("runs/source-networks")


def frozen_encoder(student: RunConfig) -> dict[str, int | None]:
    """Returns the frozen layers of a source network: the encoder, if it has one.

    Student and source network share an encoder, which starts as that of the source network. If it
    stays as it is while the source network trains, students with and without anti-transfer start
    from the same one, and the source network gets the input that it was trained on.
    """
    return {"embedding": None} if has_embedding(student.model.name) else {}


def source_task_config(task: str, student: RunConfig) -> RunConfig:
    """Returns the configuration that trains a source network on a student's training set.

    Args:
        task: Name of a task, one of `TASKS`.
        student: Configuration of the network that is kept dissimilar.

    Raises:
        InputError: The task is unknown.
    """
    if task not in TASKS:
        raise InputError(unknown_name("task", task, TASKS))
    outer = RunConfig(
        data=dataclasses.replace(student.data, training_set_of=None),
        model=ModelConfig(name=student.model.name, silence=student.model.silence),
        seed=student.seed,
    )
    config = student.replace(
        target=TASKS[task],
        labels=None,
        split="random",
        fractions=DataConfig.fractions,
        fold=None,
        split_file=None,
        test_dataset=None,
        test_dir=None,
        test_dataset_options={},
        embedding=resolve(student).model.embedding,
        training_set_of=outer,
        freeze=frozen_encoder(student),
        auxiliary_losses=(),
    )
    return resolve(config)


def _without_system(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "system"}


def find_or_train(task: str, student: RunConfig, console: Console, command: list[str]) -> Path:
    """Returns the folder of the source network for a task, and trains it if there is none.

    An interrupted run of the same configuration is resumed; one of another process is waited for.

    Args:
        task: Name of a task, one of `TASKS`.
        student: Configuration of the network that is kept dissimilar.
        console: Console for messages.
        command: Command line, for the report.

    Raises:
        InputError: The task is unknown, or the corpus has no such column.
    """
    config = source_task_config(task, student)
    expected = _without_system(options.to_json(config))
    name = f"{task}-{config.data.dataset}-{config.model.name}-{student.data.split}-{student.seed}"

    def find() -> Path:
        number = 1
        while True:
            folder = _FOLDER / (name if number == 1 else f"{name}-{number}")
            if not (folder / "config.json").exists():
                return folder
            content = report.read_config(folder / "config.json")
            relative = portable.to_relative(expected, folder)
            if all(content.get(key) == value for key, value in relative.items()):
                return folder
            number += 1

    while True:
        folder = processes.by_first(find)
        if processes.by_first(functools.partial(is_finished, folder)):
            console.print(f"source network for {task}: {folder}")
            return folder
        console.print(f"training a source network for {task}")
        try:
            # Resuming starts a run that was not begun, or that another process begins meanwhile.
            return run(config, out=folder, resume=True, console=console, command=command)
        except LockedError:
            if jax.process_count() > 1:
                raise
            if find() == folder:  # and not a run of another configuration
                console.print(f"{folder}: waiting for the run there")
                wait_until_free(folder)


def with_source_network(
    term: AntiTransfer, student: RunConfig, console: Console, command: list[str]
) -> AntiTransfer:
    """Replaces a task by the folder of its source network, see `find_or_train`.

    Args:
        term: Source network, as a folder or a task, and layers.
        student: Configuration of the network that is kept dissimilar.
        console: Console for messages.
        command: Command line, for the report.

    Raises:
        InputError: The source is neither a folder nor a task, or the student has no such layer.
    """
    if term.source == UNTRAINED or processes.by_first(Path(term.source).exists):
        return term
    if term.source not in TASKS:
        raise InputError(
            "anti-transfer: expected the folder of a finished run, or "
            f"{' or '.join((*TASKS, UNTRAINED))}; found neither in {term.source!r}"
        )
    layers_of(term, student)
    folder = find_or_train(term.source, student, console, command)
    return dataclasses.replace(term, source=str(folder))


def with_source_networks(config: RunConfig, console: Console, command: list[str]) -> RunConfig:
    """Replaces all tasks in the anti-transfer of a run by the folders of source networks.

    Args:
        config: Configuration of the run.
        console: Console for messages.
        command: Command line, for the report.

    Raises:
        InputError: A source is neither a folder nor a task, or the network has no such layer.
    """
    every = tuple(
        with_source_network(AntiTransfer.from_config(each), config, console, command).to_config()
        if each.name == NAME
        else each
        for each in config.auxiliary_losses
    )
    return config.replace(auxiliary_losses=every)
