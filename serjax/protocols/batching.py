"""Whether the runs of a series are computed together, and how."""

from collections.abc import Mapping
from pathlib import Path

import jax

from serjax import models
from serjax.errors import InputError
from serjax.protocols.batched_runs import ENGINES
from serjax.training.config import RunConfig
from serjax.training.run_folder.run_dir import is_finished

CHOICES = ("auto", "off", *ENGINES)
"""What `--together` may be."""

CHECKPOINTS = "together"
"""Of runs computed together, in the folder of their series."""

_GO_ON = "vmap"


def choose(
    asked: str, runs: Mapping[str, RunConfig], folder: Path
) -> tuple[str | None, str | None]:
    """Whether runs are computed together.

    Args:
        asked: One of `CHOICES`.
        runs: By name.
        folder: Of the series, in which some may have been begun.

    Returns:
        One of `ENGINES`, or None for one run after the other; and why, if that is to be told.

    Raises:
        InputError: They were begun together, and are not to go on so.
    """
    if (folder / CHECKPOINTS).exists():
        if asked == "off":
            raise InputError(
                f"{folder}: expected to go on together with runs that were begun together, found "
                f"off; without {folder / CHECKPOINTS} they start anew"
            )
        return (_GO_ON if asked == "auto" else asked), "they were begun together"
    if asked == "off":
        return None, None
    reason = _why_not(runs, folder)
    if reason is not None:
        return None, reason
    if asked != "auto":
        return asked, "as asked"
    # On two CPU cores vmap takes 1.0 to 1.5 of the separate runs' time and scan 1.0 to 1.3
    # (benchmarks, folds), more memory, and a program of its own to compile. On a GPU nothing has
    # been measured yet.
    why = f"not known to be faster on this {jax.default_backend()}"
    return None, f"{why}; benchmarks/run.py --suite folds measures it"


def _why_not(runs: Mapping[str, RunConfig], folder: Path) -> str | None:
    """Why runs cannot be computed together, or None."""
    config = next(iter(runs.values()))
    if len(runs) == 1:
        return "there is one run only"
    if config.model.name not in models.names():
        return f"{config.model.name} is not trained in steps"
    if config.anti_transfer:
        return "anti-transfer compares each run with teachers of its own"
    if jax.process_count() > 1:
        return "processes divide the batches of a run"
    if config.system.parallel not in (None, "none"):
        return f"{config.system.parallel} divides the batches of a run over the devices"
    for name in runs:
        last = folder / name / "checkpoints" / "last"
        if is_finished(folder / name) or any(last.glob("[0-9]*")):
            return f"{name} was begun by itself"
    return None
