"""Runs that belong together: the folds of a cross-validation, the seeds of a cross-corpus test."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from serjax import classical, report
from serjax.data import splits
from serjax.errors import InputError, unknown_name
from serjax.files import PathLike
from serjax.protocols.batched_driver import run_together
from serjax.protocols.batching import CHOICES, choose
from serjax.training.config import RunConfig, front_end_of
from serjax.training.devices import processes
from serjax.training.input.recordings import Recordings, divide, read, tables
from serjax.training.run import run
from serjax.training.run_folder.metadata import device, versions
from serjax.training.run_folder.run_dir import is_finished, open_folder


def cross_validate(
    config: RunConfig,
    *,
    folds: int | None = None,
    seeds: int = 1,
    members: int = 1,
    out: PathLike | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
    together: str = "auto",
) -> Path:
    """Runs every fold of a protocol, each in a folder of its own, and sums them up.

    Args:
        config: What to run; its `split` is one of `splits.protocols()`, its `fold` is not used.
        folds: How many; None: 5, or as many as the protocol has. Given only where it has a choice.
        seeds: Repetitions: `config.seed` and those after it, each with another division.
        members: Networks of an ensemble that each run is, `config.seed` and those after it on the
            same division, see `serjax.report.write_ensemble`; 1: no ensemble. Of a classical model
            there is one.
        out: Folder of the results; None: the first free name below `runs/`.
        resume: Go on with what is in the folder; finished folds stay as they are.
        console: Where to tell of it; None: standard output.
        command: As it is to be shown in the report.
        together: Whether the runs are trained in one program, and how, one of
            `serjax.protocols.batching.CHOICES`.

    Returns:
        The folder, with `fold-1` (`seed-0-fold-1` of several seeds) and so on, those of an ensemble
        with `member-1` and so on in them, and what `serjax.report.write_run_set` makes of them.

    Raises:
        InputError: Something that the user can mend, found before anything is run.
        DivergedError, InterruptedRunError: As `run`.
    """
    if config.data.split not in splits.protocols():
        raise splits.SplitError(f"{config.data.split}: expected {', '.join(splits.protocols())}")
    if folds is not None and folds < 3:
        raise InputError(f"folds: expected at least 3, found {folds}")
    if together not in CHOICES:
        raise InputError(unknown_name("together", together, CHOICES))
    if config.data.split.startswith("leave_one_"):
        if folds is not None:
            raise InputError(f"folds: expected none with {config.data.split}, found {folds}")
        (corpus,), target = tables(config.replace(test_dataset=None))
        folds = len(splits.folds(corpus, config.data.split, target=target, seed=config.split_seed))
    folds = folds or 5
    runs = {
        f"seed-{seed}-fold-{number}" if seeds > 1 else f"fold-{number}": config.replace(
            seed=seed, fold=f"{number}/{folds}"
        )
        for seed in _seeds(config, seeds)
        for number in range(1, folds + 1)
    }
    title = f"{config.data.split}-folds"
    return _run_all(
        runs, members, title, out, resume, console or Console(), command or [], together
    )


def cross_corpus(
    config: RunConfig,
    *,
    seeds: int = 1,
    members: int = 1,
    out: PathLike | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
) -> Path:
    """Trains on one corpus and tests on another, once for each seed, and sums it up.

    Args:
        config: What to run, with a `test_dataset`; its `split` is what training and validation
            don't share.
        seeds: Repetitions: `config.seed` and those after it, each with another division.
        members: Networks of an ensemble that each run is, `config.seed` and those after it on the
            same division, see `serjax.report.write_ensemble`; 1: no ensemble. Of a classical model
            there is one.
        out: Folder of the results; None: the first free name below `runs/`.
        resume: Go on with what is in the folder; finished runs stay as they are.
        console: Where to tell of it; None: standard output.
        command: As it is to be shown in the report.

    Returns:
        The folder, with `seed-0` and so on, and what `serjax.report.write_run_set` makes of them.

    Raises:
        InputError, DivergedError, InterruptedRunError: As `cross_validate`.
    """
    runs = {f"seed-{seed}": config.replace(seed=seed) for seed in _seeds(config, seeds)}
    title = f"{config.data.split}-to-{config.data.test_dataset}"
    return _run_all(runs, members, title, out, resume, console or Console(), command or [])


def check_folds(config: RunConfig, *, folds: int | None = None) -> None:
    """Finds by the corpus's table alone, before a recording is opened, what has no such folds.

    Args:
        config: As of `cross_validate`.
        folds: As of `cross_validate`.

    Raises:
        InputError: The corpus is not there, has nothing to recognize, or cannot be divided so.
    """
    (corpus,), target = tables(config)
    # A protocol that leaves one out has as many folds as there are, whatever is asked for.
    splits.folds(corpus, config.data.split, target=target, folds=folds or 5, seed=config.split_seed)


def _seeds(config: RunConfig, count: int) -> range:
    if count < 1:
        raise InputError(f"seeds: expected at least 1, found {count}")
    return range(config.seed, config.seed + count)


def _members(name: str, config: RunConfig, count: int) -> dict[str, RunConfig]:
    """The runs that a run consists of: itself, or the members of an ensemble."""
    if count < 1:
        raise InputError(f"members: expected at least 1, found {count}")
    if count == 1 or config.model.name in classical.names():  # chance does not change these
        return {name: config}
    return {
        f"{name}/member-{number}": config.replace(
            seed=config.seed + number - 1, split_seed=config.split_seed
        )
        for number in range(1, count + 1)
    }


def _run_all(
    series: Mapping[str, RunConfig],
    members: int,
    title: str,
    out: PathLike | None,
    resume: bool,
    console: Console,
    command: list[str],
    together: str = "off",
) -> Path:
    """Runs what is not finished, and writes the summary."""
    groups = {name: _members(name, config, members) for name, config in series.items()}
    runs = {name: config for group in groups.values() for name, config in group.items()}
    for config in runs.values():
        config.check()
    first = next(iter(runs.values()))
    recordings = processes.by_all(lambda: read(first, front_end_of(first), console))
    for config in runs.values():  # before hours are spent on those that can be made
        divide(config, recordings.corpora, recordings.target, recordings.content)
    corpora = recordings.corpora
    described = {
        **dataclasses.asdict(resolve(first)),
        "split": title,
        "fold": None,
        "runs": list(runs),
        "classes": corpora[0].labels(recordings.target),
        "utterances": {corpus.name: len(corpus) for corpus in corpora},
        "device": device(),
        "versions": versions(),
        "command": command,
        "notes": [note for corpus in corpora for note in corpus.notes],
    }
    fixed = [*(field.name for field in dataclasses.fields(first)), "runs"]
    with open_folder(out, resume, described, fixed, console) as folder:
        engine, why = choose(together, runs, folder)
        if why is not None:
            console.print(f"together: {engine or 'off'}, {why}", highlight=False, soft_wrap=True)
        compute = functools.partial(run_together, engine=engine) if engine else _one_by_one
        compute(runs, folder, console=console, command=command, recordings=recordings)
        console.rule("all")
        summary = processes.by_first(lambda: _write(folder, groups))
        report.print_run_set(console, summary)
        console.print(f"report {folder / 'report.html'}", highlight=False, soft_wrap=True)
        return folder


def _write(folder: Path, groups: Mapping[str, Mapping[str, RunConfig]]) -> dict[str, Any]:
    """Writes the ensembles, where there are any, and the summary of all runs."""
    for name, members in groups.items():
        if name not in members:
            report.write_ensemble(folder / name, [run.removeprefix(f"{name}/") for run in members])
    return report.write_run_set(folder, list(groups))


def _one_by_one(
    runs: Mapping[str, RunConfig],
    folder: Path,
    *,
    console: Console,
    command: list[str],
    recordings: Recordings,
) -> None:
    """Runs what is not finished, one run after the other."""
    for number, (name, config) in enumerate(runs.items(), start=1):
        place = folder / name
        console.rule(f"{name}, {number} of {len(runs)}")
        if processes.by_first(functools.partial(is_finished, place)):
            console.print("finished before", highlight=False)
            continue
        run(
            config,
            out=place,
            resume=processes.by_first(place.exists),
            console=console,
            command=command,
            recordings=recordings,
        )
