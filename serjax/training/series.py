"""Runs that belong together: the folds of a cross-validation, the seeds of a cross-corpus test."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from serjax import report
from serjax.data import splits
from serjax.errors import InputError
from serjax.training import distributed
from serjax.training.described import device, versions
from serjax.training.folder import open_folder
from serjax.training.reading import divide, read, tables
from serjax.training.run import run
from serjax.training.task import RunConfig, build_front_end


def cross_validate(
    config: RunConfig,
    *,
    folds: int | None = None,
    seeds: int = 1,
    out: Path | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
) -> Path:
    """Runs every fold of a protocol, each in a folder of its own, and sums them up.

    Args:
        config: What to run; its `split` is one of `splits.protocols()`, its `fold` is not used.
        folds: How many; None: 5, or as many as the protocol has. Given only where it has a choice.
        seeds: Repetitions: `config.seed` and those after it, each with another division.
        out: Folder of the results; None: the first free name below `runs/`.
        resume: Go on with what is in the folder; finished folds stay as they are.
        console: Where to tell of it; None: standard output.
        command: As it is to be shown in the report.

    Returns:
        The folder, with `fold-1` (`seed-0-fold-1` of several seeds) and so on, and what
        `serjax.report.write_series` makes of them.

    Raises:
        InputError: Something that the user can mend, found before anything is run.
        DivergedError, InterruptedRunError: As `run`.
    """
    if config.split not in splits.protocols():
        raise splits.SplitError(f"{config.split}: expected {', '.join(splits.protocols())}")
    if config.split.startswith("leave_one_"):
        if folds is not None:
            raise InputError(f"folds: expected none with {config.split}, found {folds}")
        (corpus,), target = tables(dataclasses.replace(config, test_dataset=None))
        folds = len(splits.folds(corpus, config.split, target=target, seed=config.seed))
    folds = folds or 5
    runs = {
        f"seed-{seed}-fold-{number}" if seeds > 1 else f"fold-{number}": dataclasses.replace(
            config, seed=seed, fold=f"{number}/{folds}"
        )
        for seed in _seeds(config, seeds)
        for number in range(1, folds + 1)
    }
    title = f"{config.split}-folds"
    return _run_all(runs, title, out, resume, console or Console(), command or [])


def cross_corpus(
    config: RunConfig,
    *,
    seeds: int = 1,
    out: Path | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: list[str] | None = None,
) -> Path:
    """Trains on one corpus and tests on another, once for each seed, and sums it up.

    Args:
        config: What to run, with a `test_dataset`; its `split` is what training and validation
            don't share.
        seeds: Repetitions: `config.seed` and those after it, each with another division.
        out: Folder of the results; None: the first free name below `runs/`.
        resume: Go on with what is in the folder; finished runs stay as they are.
        console: Where to tell of it; None: standard output.
        command: As it is to be shown in the report.

    Returns:
        The folder, with `seed-0` and so on, and what `serjax.report.write_series` makes of them.

    Raises:
        InputError, DivergedError, InterruptedRunError: As `cross_validate`.
    """
    runs = {
        f"seed-{seed}": dataclasses.replace(config, seed=seed) for seed in _seeds(config, seeds)
    }
    title = f"{config.split}-to-{config.test_dataset}"
    return _run_all(runs, title, out, resume, console or Console(), command or [])


def _seeds(config: RunConfig, count: int) -> range:
    if count < 1:
        raise InputError(f"seeds: expected at least 1, found {count}")
    return range(config.seed, config.seed + count)


def _run_all(
    runs: Mapping[str, RunConfig],
    title: str,
    out: Path | None,
    resume: bool,
    console: Console,
    command: list[str],
) -> Path:
    """Runs what is not finished, and writes the summary."""
    for config in runs.values():
        config.check()
    first = next(iter(runs.values()))
    recordings = distributed.by_all(lambda: read(first, build_front_end(first), console))
    for config in runs.values():  # before hours are spent on those that can be made
        divide(config, recordings.corpora, recordings.target, recordings.content)
    corpora = recordings.corpora
    described = {
        **dataclasses.asdict(first.resolved()),
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
        for number, (name, config) in enumerate(runs.items(), start=1):
            place = folder / name
            console.rule(f"{name}, {number} of {len(runs)}")
            # The report is the last thing that a run writes.
            if distributed.by_first((place / "report.html").exists):
                console.print("finished before", highlight=False)
                continue
            run(
                config,
                out=place,
                resume=distributed.by_first(place.exists),
                console=console,
                command=command,
                recordings=recordings,
            )
        console.rule("all")
        summary = distributed.by_first(lambda: report.write_series(folder, list(runs)))
        report.print_series(console, summary)
        console.print(f"report {folder / 'report.html'}", highlight=False, soft_wrap=True)
        return folder
