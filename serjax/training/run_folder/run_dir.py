"""Run folders: a new one for a new run, the same one for a resumed run, never another's."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
from rich.console import Console

from serjax import options, report
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.training.config import RunConfig
from serjax.training.devices import processes

_LOCK = ".lock"
_CONFIG = "config.json"
_CHECKPOINTS = "checkpoints"


def is_finished(folder: Path) -> bool:
    """Whether a run was finished in its folder."""
    return (folder / "report.html").exists()  # the last thing that a run writes


def _default_folders(config: RunConfig) -> tuple[list[Path], Path]:
    """Existing folders of runs of this name, in order, and the next free one."""
    data = config.data
    values = (data.dataset, config.model.name, data.target, data.split, config.seed)
    name = "-".join(str(value) for value in values if value is not None)
    base = Path("runs") / name
    taken: list[Path] = []
    while _holds_run(base if not taken else base.with_name(f"{name}-{len(taken) + 1}")):
        taken.append(base if not taken else base.with_name(f"{name}-{len(taken) + 1}"))
    return taken, base if not taken else base.with_name(f"{name}-{len(taken) + 1}")


def _holds_run(folder: Path) -> bool:
    return folder.exists() and any(file.name != _LOCK for file in folder.iterdir())


def _nothing_saved(folder: Path) -> bool:
    """Whether a run ended there before its first checkpoint, so that nothing is lost with it."""
    if any(file.name not in (_LOCK, _CONFIG, _CHECKPOINTS) for file in folder.iterdir()):
        return False
    return not any(file.is_file() for file in (folder / _CHECKPOINTS).rglob("*"))


def check_free(folder: Path, resume: bool) -> None:
    """Finds out whether a run may have a folder, which can be done before the corpus is read.

    Args:
        folder: The folder asked for.
        resume: Whether a run in it is to be continued.

    Raises:
        InputError: It is a file, or there is something in it that would be lost.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: expected a folder for the run, found a file")
    if _holds_run(folder) and not resume and not _nothing_saved(folder):
        raise InputError(
            f"{folder}: expected a new or empty folder, found "
            f"{'another run' if (folder / _CONFIG).exists() else 'other files'}; "
            "choose another --out, or go on with that run by --resume"
        )


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keeps other processes' runs out of a folder; the system lets go when this one is killed."""
    lock = filelock.FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InputError(
            f"{folder}: another run is at work there; wait for its end, or choose another --out"
        ) from None
    except NotImplementedError:
        pass  # some network filesystems have no locks, and runs there are still wanted
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def open_folder(
    out: PathLike | None,
    resume: bool,
    config: RunConfig,
    metadata: dict[str, Any],
    console: Console,
) -> Iterator[Path]:
    """Finds or makes the run folder, writes its `config.json` and keeps other runs out of it.

    Args:
        out: The folder asked for; None: one below `runs/`, named after the run.
        resume: Whether a run in it is to be continued. One that was killed before it wrote
            anything is started anew.
        described: Content of `config.json`.
        fixed: Its keys that a resumed run must not change.
        console: Told where the folder is.

    Yields:
        The folder.

    Raises:
        InputError: The folder holds a run and `resume` is False, it holds another run, another
            process is at work in it, or nothing can be written there.
    """
    with contextlib.ExitStack() as stack:
        yield processes.by_first(lambda: _opened(out, resume, config, metadata, console, stack))


def _opened(
    out: PathLike | None,
    resume: bool,
    config: RunConfig,
    metadata: dict[str, Any],
    console: Console,
    stack: contextlib.ExitStack,
) -> Path:
    """The folder, which is held until the stack is closed."""
    if out is None:
        taken, free = _default_folders(config)
        folder = taken[-1] if resume and taken else free
    else:
        folder = Path(out)
    check_free(folder, resume)
    config_path = folder / _CONFIG
    if resume and config_path.exists() and not _nothing_saved(folder):
        before = report.read_config(config_path)
        now = json.loads(json.dumps({**options.to_json(config), **metadata}))
        keys = ("data", "model", "seed", "classes", "utterances")
        changed = [key for key in keys if before.get(key) != now[key]]
        if changed:
            values = ", ".join(f"{key} {before.get(key)!r} not {now[key]!r}" for key in changed)
            raise InputError(f"{folder}: --resume found another run there: {values}")
    elif resume:
        console.print(f"{folder}: no run to resume there yet; starting it", soft_wrap=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(_held(folder))
        report.write_json(config_path, {**options.to_json(config), **metadata})
    except OSError as error:
        raise InputError(
            f"{folder}: expected a folder that can be written to, found: {error.strerror}"
        ) from error
    console.print(f"run folder {folder}", highlight=False, soft_wrap=True)
    return folder
