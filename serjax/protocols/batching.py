"""Choice between batched runs and one run after the other."""

from collections.abc import Mapping
from pathlib import Path

import jax

from serjax.errors import InputError
from serjax.protocols.run_batch import METHODS
from serjax.training.config import RunConfig
from serjax.training.objective import auxiliary_loss
from serjax.training.run_folder.run_dir import is_finished

CHOICES = ("auto", "off", *METHODS)
"""Values of `batching`."""

CHECKPOINTS = "batched"
"""Folder of the checkpoints of batched runs, next to their run folders."""

_RESUMED = "vmap"


def choose(
    batching: str, runs: Mapping[str, RunConfig], folder: Path
) -> tuple[str | None, str | None]:
    """Chooses whether runs are computed in one program.

    Args:
        batching: Requested batching, one of `CHOICES`.
        runs: Configurations by name.
        folder: Folder of the set of runs, in which some may have been started.

    Returns:
        Method of `serjax.protocols.run_batch.METHODS`, or None for one run after the other; and
        the reason, if it should be printed.

    Raises:
        InputError: The runs were started as batched runs and may not be continued so.
    """
    if (folder / CHECKPOINTS).exists():
        if batching == "off":
            raise InputError(
                f"{folder}: expected batching for runs that were started as batched runs, found "
                f"off; without {folder / CHECKPOINTS} they start again"
            )
        return (_RESUMED if batching == "auto" else batching), "they were started as batched runs"
    if batching == "off":
        return None, None
    reason = _why_not(runs, folder)
    if reason is not None:
        return None, reason
    if batching != "auto":
        return batching, "as requested"
    # On two CPU cores vmap takes 1.0 to 1.5 of the separate runs' time and scan 1.0 to 1.3
    # (benchmarks, folds), more memory, and a program of its own to compile. On a GPU nothing has
    # been measured yet.
    why = f"not known to be faster on this {jax.default_backend()}"
    return None, f"{why}; benchmarks/run.py --suite folds measures it"


def _why_not(runs: Mapping[str, RunConfig], folder: Path) -> str | None:
    """Returns the reason why runs cannot be batched, or None."""
    config = next(iter(runs.values()))
    if len(runs) == 1:
        return "there is one run only"
    if config.is_classical:
        return f"{config.model.name} is not trained in steps"
    name = auxiliary_loss.find_unbatchable(config.auxiliary_losses)
    if name is not None:
        return f"the auxiliary loss {name} has arrays of its own for each run"
    if jax.process_count() > 1:
        return "processes share the batches of a run"
    if config.system.parallel not in (None, "none"):
        return f"{config.system.parallel} shards the batches of a run over the devices"
    for name in runs:
        last = folder / name / "checkpoints" / "last"
        if is_finished(folder / name) or any(last.glob("[0-9]*")):
            return f"{name} was started on its own"
    return None
