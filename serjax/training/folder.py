"""Run folders: a new one for a new run, the same one for a resumed run, never another's."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from serjax import report
from serjax.errors import InputError


def _default_folders(described: dict[str, Any]) -> tuple[list[Path], Path]:
    """Existing folders of runs of this name, in order, and the next free one."""
    keys = ("dataset", "model", "target", "split", "seed")
    name = "-".join(str(described[key]) for key in keys if described[key] is not None)
    base = Path("runs") / name
    taken: list[Path] = []
    while _holds_run(base if not taken else base.with_name(f"{name}-{len(taken) + 1}")):
        taken.append(base if not taken else base.with_name(f"{name}-{len(taken) + 1}"))
    return taken, base if not taken else base.with_name(f"{name}-{len(taken) + 1}")


def _holds_run(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def open_folder(
    out: Path | None,
    resume: bool,
    described: dict[str, Any],
    fixed: Sequence[str],
    console: Console,
) -> Path:
    """Finds or makes the run folder and writes its `config.json`.

    Args:
        out: The folder asked for; None: one below `runs/`, named after the run.
        resume: Whether a run in it is to be continued. One that was killed before it wrote
            anything is started anew.
        described: Content of `config.json`.
        fixed: Its keys that a resumed run must not change.
        console: Told where the folder is.

    Returns:
        The folder.

    Raises:
        InputError: The folder holds a run and `resume` is False, or it holds another run.
    """
    if out is None:
        taken, free = _default_folders(described)
        folder = taken[-1] if resume and taken else free
    else:
        folder = out
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: expected a folder for the run, found a file")
    config_path = folder / "config.json"
    if _holds_run(folder) and not resume:
        raise InputError(
            f"{folder}: expected a new or empty folder, found "
            f"{'another run' if config_path.exists() else 'other files'}; "
            "choose another --out, or go on with that run by --resume"
        )
    if resume and config_path.exists():
        before = report.read_config(config_path)
        now = json.loads(json.dumps(described))
        changed = [key for key in (*fixed, "classes", "utterances") if before.get(key) != now[key]]
        if changed:
            values = ", ".join(f"{key} {before.get(key)!r} not {now[key]!r}" for key in changed)
            raise InputError(f"{folder}: --resume found another run there: {values}")
    elif resume:
        console.print(f"{folder}: no run to resume there yet; starting it", soft_wrap=True)
    folder.mkdir(parents=True, exist_ok=True)
    report.write_json(config_path, described)
    console.print(f"run folder {folder}", highlight=False, soft_wrap=True)
    return folder
