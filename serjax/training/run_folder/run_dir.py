"""Run folders: creation for a new run, reuse for a resumed run, protection from other runs."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from serjax import options, report
from serjax.console import Console
from serjax.errors import InputError
from serjax.files import PathLike, portable
from serjax.files.locks import locked
from serjax.training.config import RunConfig
from serjax.training.devices import processes
from serjax.training.input.corpus_hashes import differing
from serjax.training.run_folder.metadata import METADATA_KEYS

_LOCK = ".lock"
_CONFIG = "config.json"
_CHECKPOINTS = "checkpoints"
_HASHES = "corpus_hashes"
# Metadata of the data and of the protocol, which a resumed run shares.
_FIXED_METADATA = (
    *("classes", "utterances", "protocol", "runs", "dimensions", "reconstruction", "emotions"),
)


def earlier_times(folder: Path) -> dict[str, float]:
    """Returns the times of the processes that worked on a run before, by stage.

    Raises:
        InputError: Their file is damaged.
    """
    return processes.by_first(lambda: report.read_timing(folder / "timing.json"))


def is_finished(folder: Path) -> bool:
    """Returns True if the run in a folder is finished."""
    return (folder / "report.html").exists()  # a run writes it last


def _default_folders(config: RunConfig, metadata: Mapping[str, Any]) -> tuple[list[Path], Path]:
    """Returns existing folders of runs of this name, in order, and the next free one."""
    split = metadata.get("protocol", config.data.split)
    keys = (config.data.dataset, config.model.name, config.data.target, split, config.seed)
    name = "-".join(str(key) for key in keys if key is not None)
    base = Path("runs") / name
    used: list[Path] = []
    while _holds_run(base if not used else base.with_name(f"{name}-{len(used) + 1}")):
        used.append(base if not used else base.with_name(f"{name}-{len(used) + 1}"))
    return used, base if not used else base.with_name(f"{name}-{len(used) + 1}")


def _holds_run(folder: Path) -> bool:
    return folder.exists() and any(file.name != _LOCK for file in folder.iterdir())


def _has_no_results(folder: Path) -> bool:
    """Returns True if a run ended before its first checkpoint, so that nothing can be lost."""
    if any(file.name not in (_LOCK, _CONFIG, _CHECKPOINTS) for file in folder.iterdir()):
        return False
    return not any(file.is_file() for file in (folder / _CHECKPOINTS).rglob("*"))


def check_free(folder: Path, resume: bool) -> None:
    """Checks that a run may use a folder. It can be called before the corpus is read.

    Args:
        folder: Requested folder.
        resume: Whether a run in the folder is resumed.

    Raises:
        InputError: It is a file, or it holds files that would be lost.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: expected a folder for the run, found a file")
    if _holds_run(folder) and not resume and not _has_no_results(folder):
        raise InputError(
            f"{folder}: expected a new or empty folder, found "
            f"{'another run' if (folder / _CONFIG).exists() else 'other files'}; "
            "choose another --out, or resume that run by --resume"
        )


def wait_until_free(folder: Path) -> None:
    """Waits for the end of a run in a folder.

    Args:
        folder: Existing run folder.
    """
    with locked(folder / _LOCK, "", timeout=-1):
        pass


@contextlib.contextmanager
def open_folder(
    out: PathLike | None,
    resume: bool,
    config: RunConfig,
    metadata: Mapping[str, Any],
    console: Console,
) -> Iterator[Path]:
    """Finds or makes the folder of a run or a set of runs, writes `config.json`, and locks it.

    A resumed run may change the options of the `system` group, `optimizer.patience` and, unless the
    schedule is a cosine, `optimizer.epochs`. Its corpus must be the same: recordings, labels,
    speakers, sound and split. A run that was killed before it saved anything is
    started again from its beginning.

    Args:
        out: Requested folder; None: a folder below `runs/`, named after the run.
        resume: Whether a run in the folder is resumed.
        config: Resolved configuration.
        metadata: Further content of `config.json`, see `run_metadata`. That of a set of runs has
            the key "protocol", the name of their protocol, and "runs", the names of their folders.
        console: Console that the path of the folder is printed on.

    Yields:
        Path of the folder.

    Raises:
        InputError: The folder holds a run and `resume` is False, it holds another run, another
            process uses it, or it cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        yield processes.by_first(lambda: _open(out, resume, config, metadata, console, stack))


def _open(
    out: PathLike | None,
    resume: bool,
    config: RunConfig,
    metadata: Mapping[str, Any],
    console: Console,
    stack: contextlib.ExitStack,
) -> Path:
    """Opens the folder, which is locked until the stack is closed."""
    if out is not None:
        return _open_named(Path(out), resume, config, metadata, console, stack)
    while True:
        used, free = _default_folders(config, metadata)
        folder = used[-1] if resume and used else free
        try:
            return _open_named(folder, resume, config, metadata, console, stack)
        except InputError:
            # An equal command that was started at once may have taken the name since.
            if resume or folder not in _default_folders(config, metadata)[0]:
                raise


def _open_named(
    folder: Path,
    resume: bool,
    config: RunConfig,
    metadata: Mapping[str, Any],
    console: Console,
    stack: contextlib.ExitStack,
) -> Path:
    check_free(folder, resume)
    config_path = folder / _CONFIG
    if resume and config_path.exists() and not _has_no_results(folder):
        changes = _changes(config_path, config, metadata)
        if changes:
            raise InputError(f"{folder}: --resume found another run there: {', '.join(changes)}")
    elif resume:
        console.print(f"{folder}: no run to resume there yet; starting it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        busy = "another run is at work there; wait for its end, or choose another --out"
        stack.enter_context(locked(folder / _LOCK, f"{folder}: {busy}"))
        check_free(folder, resume)  # another run may have ended there since
        content = {**options.to_json(config), **metadata}
        data_dirs = [each for each in (config.data.data_dir, config.data.test_dir) if each]
        report.write_json(config_path, portable.to_relative(content, folder, data_dirs))
    except OSError as error:
        raise InputError(
            f"{folder}: expected a folder that can be written to, found: {error.strerror}"
        ) from error
    console.print(f"run folder {folder}")
    return folder


def _changes(path: Path, config: RunConfig, metadata: Mapping[str, Any]) -> list[str]:
    """Describes what a resumed run must not change and differs from the run's `config.json`."""
    before = options.read_file(RunConfig, path, ignored=METADATA_KEYS)
    # As it is read back, so that nested configurations are of the same classes.
    content = portable.to_relative(options.to_json(config), path.parent)
    now = options.from_mapping(RunConfig, portable.to_absolute(content, path.parent))
    values = {
        option.path: pair
        for option, *pair in options.differences(before, now)
        if not _may_change(option.path, now)
    }
    if before.auxiliary_losses != now.auxiliary_losses:
        values["auxiliary_losses"] = [[*before.auxiliary_losses], [*now.auxiliary_losses]]
    metadata_before = report.read_config(path)
    metadata_now = json.loads(json.dumps(dict(metadata)))
    for key in _FIXED_METADATA:
        pair = [metadata_before.get(key), metadata_now.get(key)]
        if pair[0] != pair[1]:
            values[key] = pair
    changes = [f"{name} {old!r} not {new!r}" for name, (old, new) in values.items()]
    return changes + _corpus_changes(metadata_before, metadata_now.get(_HASHES, {}))


def _corpus_changes(before: Mapping[str, Any], hashes: Mapping[str, str]) -> list[str]:
    """Describes in what a corpus differs from that of a run's `config.json`."""
    if _HASHES not in before:  # a folder of an earlier version
        return []
    others = differing(before[_HASHES], hashes)
    return [f"the corpus differs in its {', '.join(others)}"] if others else []


def check_corpus(folder: Path, hashes: Mapping[str, str]) -> None:
    """Checks that a finished run, which is not run again, had the corpus of the other runs.

    Args:
        folder: Folder of the finished run.
        hashes: Hashes of the corpus, see `serjax.training.input.corpus_hashes`; those that the run
            has and these have not are not compared.

    Raises:
        InputError: It had another corpus.
    """
    changes = _corpus_changes(report.read_config(folder / _CONFIG), hashes)
    if changes:
        raise InputError(f"{folder}: expected a run on the corpus of this one, but {changes[0]}")


def _may_change(option: str, config: RunConfig) -> bool:
    """Returns True for an option that changes no result of the steps that were taken before."""
    if option == "optimizer.epochs":
        return config.optimizer.schedule != "cosine"  # it ends at the last epoch
    return option.startswith("system.") or option == "optimizer.patience"
