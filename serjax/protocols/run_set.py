"""Sets of runs: the folds of a cross-validation, the seeds of a cross-corpus test."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serjax import report
from serjax.console import Console
from serjax.data import Corpus, splits
from serjax.errors import InputError, unknown_name
from serjax.files import PathLike
from serjax.protocols.batched_runs import run_batched
from serjax.protocols.batching import CHOICES, choose
from serjax.training.checks import check_config
from serjax.training.config import RunConfig
from serjax.training.config.resolve import front_end_of, resolve
from serjax.training.devices import processes
from serjax.training.input.corpus_hashes import corpus_hashes
from serjax.training.input.recordings import Recordings, read_recordings, read_tables, split_corpora
from serjax.training.run_folder.metadata import device, versions
from serjax.training.run_folder.run_dir import is_finished, open_folder
from serjax.training.single_run import run


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
    batching: str = "auto",
    corpus: Corpus | None = None,
) -> Path:
    """Runs every fold of a protocol, each in a folder of its own, and summarizes the results.

    Args:
        config: Configuration of the runs. Its `data.split` is one of `splits.protocols()`, its
            `data.fold` is not used.
        folds: Number of folds; None: 5, or all of a protocol that leaves one out.
        seeds: Number of repetitions: `config.seed` and the following seeds, each with another
            split.
        members: Number of networks in the ensemble of each run: `config.seed` and the following
            seeds on the same split, see `serjax.report.write_ensemble`; 1: no ensemble. Classical
            models have no ensembles.
        out: Folder of the results; None: the first free name below `runs/`.
        resume: Continue the runs in the folder; finished folds stay as they are.
        console: Console for messages; None: standard output.
        command: Command line, for the report.
        batching: Method that trains the runs in one program, one of
            `serjax.protocols.batching.CHOICES`.
        corpus: Corpus of the caller, instead of one that is loaded by name.

    Returns:
        The folder, with `fold-1` (`seed-0-fold-1` with several seeds) and so on, the members of an
        ensemble below it as `member-1` and so on, and the files of `serjax.report.write_run_set`.

    Raises:
        InputError: An error that the user can fix, found before anything is run.
        DivergedError: See `serjax.training.run`.
        InterruptedRunError: See `serjax.training.run`.
    """
    corpora = None if corpus is None else (corpus,)
    if corpus is not None:
        config = config.replace(dataset=corpus.name)
    split = config.data.split
    if split not in splits.protocols():
        raise splits.SplitError(f"{split}: expected {', '.join(splits.protocols())}")
    if folds is not None and folds < 3:
        raise InputError(f"folds: expected at least 3, found {folds}")
    if batching not in CHOICES:
        raise InputError(unknown_name("batching", batching, CHOICES))
    if split.startswith("leave_one_"):
        if folds is not None:
            raise InputError(f"folds: expected none with {split}, found {folds}")
        (table,), target = read_tables(config.replace(test_dataset=None), corpora)
        folds = len(splits.folds(table, split, target=target, seed=config.split_seed))
    folds = folds or 5
    runs = {
        f"seed-{seed}-fold-{number}" if seeds > 1 else f"fold-{number}": config.replace(
            seed=seed, fold=f"{number}/{folds}"
        )
        for seed in _seeds(config, seeds)
        for number in range(1, folds + 1)
    }
    return _run_all(
        runs,
        f"{split}-folds",
        members=members,
        out=out,
        resume=resume,
        console=Console.of(console),
        command=command or [],
        batching=batching,
        corpora=corpora,
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
    """Trains on one corpus and tests on another, once for each seed, and summarizes the results.

    Args:
        config: Configuration of the runs, with a `data.test_dataset`. Its `data.split` names what
            the training and the validation set do not share.
        seeds: See `cross_validate`.
        members: See `cross_validate`.
        out: Folder of the results; None: the first free name below `runs/`.
        resume: Continue the runs in the folder; finished runs stay as they are.
        console: Console for messages; None: standard output.
        command: Command line, for the report.

    Returns:
        The folder, with `seed-0` and so on, and the files of `serjax.report.write_run_set`.

    Raises:
        InputError: An error that the user can fix, found before anything is run.
        DivergedError: See `serjax.training.run`.
        InterruptedRunError: See `serjax.training.run`.
    """
    return _run_all(
        {f"seed-{seed}": config.replace(seed=seed) for seed in _seeds(config, seeds)},
        f"{config.data.split}-to-{config.data.test_dataset}",
        members=members,
        out=out,
        resume=resume,
        console=Console.of(console),
        command=command or [],
    )


def check_folds(config: RunConfig, *, folds: int | None = None) -> None:
    """Checks by the table of a corpus, without opening a recording, that it has the folds.

    Args:
        config: Configuration, see `cross_validate`.
        folds: Number of folds, see `cross_validate`.

    Raises:
        InputError: The corpus does not exist, has nothing to recognize, or cannot be split so.
    """
    (corpus,), target = read_tables(config)
    # A protocol that leaves one out ignores the number of folds.
    splits.folds(corpus, config.data.split, target=target, folds=folds or 5, seed=config.split_seed)


def _seeds(config: RunConfig, count: int) -> range:
    if count < 1:
        raise InputError(f"seeds: expected at least 1, found {count}")
    return range(config.seed, config.seed + count)


def _members(name: str, config: RunConfig, count: int) -> dict[str, RunConfig]:
    """Returns the runs that a run consists of: itself, or the members of an ensemble."""
    if count < 1:
        raise InputError(f"members: expected at least 1, found {count}")
    if count == 1 or config.is_classical:  # seeds do not change classical models
        return {name: config}
    return {
        f"{name}/member-{number}": config.replace(
            seed=config.seed + number - 1, split_seed=config.split_seed
        )
        for number in range(1, count + 1)
    }


def _run_all(
    series: Mapping[str, RunConfig],
    protocol: str,
    *,
    members: int,
    out: PathLike | None,
    resume: bool,
    console: Console,
    command: list[str],
    batching: str = "off",
    corpora: tuple[Corpus, ...] | None = None,
) -> Path:
    """Runs what is not finished, and writes the summary."""
    groups = {name: _members(name, config, members) for name, config in series.items()}
    runs = {name: config for group in groups.values() for name, config in group.items()}
    for config in runs.values():
        check_config(config)
    first = next(iter(runs.values()))
    recordings = processes.by_all(
        lambda: read_recordings(first, front_end_of(first), console, corpora)
    )
    for config in runs.values():  # a split that does not exist is refused before hours of training
        split_corpora(config, recordings.corpora, recordings.target, recordings.sounds)
    # The folder holds all folds.
    shared = first.replace(fold=None)
    metadata = {
        "protocol": protocol,
        "runs": list(runs),
        "classes": recordings.corpora[0].labels(recordings.target),
        "utterances": {corpus.name: len(corpus) for corpus in recordings.corpora},
        "corpus_hashes": corpus_hashes(recordings.corpora, recordings.target, recordings.content),
        "device": device(),
        "versions": versions(),
        "command": command,
        "notes": [note for corpus in recordings.corpora for note in corpus.notes],
    }
    resolved = shared if shared.is_classical else resolve(shared)
    with open_folder(out, resume, resolved, metadata, console) as folder:
        method, reason = choose(batching, runs, folder)
        if reason is not None:
            console.print(f"batching: {method or 'off'}, {reason}")
        compute = functools.partial(run_batched, method=method) if method else _run_in_turn
        compute(runs, folder, console=console, command=command, recordings=recordings)
        console.rule("all")
        summary = processes.by_first(lambda: _write(folder, groups))
        report.print_run_set(console, summary)
        console.print(f"report {folder / 'report.html'}")
        return folder


def _write(folder: Path, groups: Mapping[str, Mapping[str, RunConfig]]) -> dict[str, Any]:
    """Writes the ensembles, if there are any, and the summary of all runs."""
    for name, members in groups.items():
        if name not in members:
            report.write_ensemble(folder / name, [run.removeprefix(f"{name}/") for run in members])
    return report.write_run_set(folder, list(groups))


def _run_in_turn(
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
            console.print("finished before")
            continue
        run(
            config,
            out=place,
            resume=processes.by_first(place.exists),
            console=console,
            command=command,
            recordings=recordings,
        )
