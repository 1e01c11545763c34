"""Checkpoints of a run: the last state, to resume from, and the best variables, to use."""

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import jax

from serjax.errors import InputError, first_line
from serjax.files import json_hash, schema
from serjax.models.pretrained.saved_arrays import (
    HASHES,
    array_hashes,
    read_checkpoint,
    saved_steps,
)
from serjax.models.variables import Variables
from serjax.training.devices import processes
from serjax.training.devices.batch_sharding import put
from serjax.training.optimization.divergence import check_finite

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

_MAX_TO_KEEP = 2
_LAST, _BEST = "last", "best"


class State(Protocol):
    """State of a run, or of several batched runs."""

    @property
    def step(self) -> Any:
        """Number of steps taken, which names a checkpoint."""

    @property
    def variables(self) -> Variables:
        """Variables of the model."""


Tree = TypeVar("Tree")
Saved = TypeVar("Saved", bound=State)


def _orbax() -> Any:
    """Imports Orbax where it is used, because the import takes half as long as that of JAX."""
    import orbax.checkpoint

    return orbax.checkpoint


def _nbytes(tree: Any) -> int:
    return sum(x.nbytes for x in jax.tree.leaves(tree))


def _put_like(tree: Tree, like: Tree) -> Tree:
    """Puts arrays on the devices of other ones, by default on the first device."""
    default = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda x, y: put(x, getattr(y, "sharding", None) or default), tree, like)


class Checkpoints:
    """Two Orbax checkpoint directories below a run's `checkpoints/`.

    Orbax writes a checkpoint next to the others and renames it when it is complete. An old one is
    deleted only then, so that a complete one is left after a kill at any moment, or on a full disk.
    Two of each are retained. If a run is killed between saving new best variables and the state
    that names them, the older state still finds its best variables. If the last state cannot be
    read, the one before it can. A hash of every array is saved with it and checked when it is read.
    With several processes, the first one writes and reads, and all of them call the same methods.

    Args:
        directory: Folder `checkpoints` of the run folder, made when something is saved.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    @functools.cached_property
    def _managers(self) -> "dict[str, ocp.CheckpointManager]":
        """Managers that write the checkpoints."""
        return {name: self._manager(name) for name in (_LAST, _BEST)}

    def _manager(self, name: str) -> "ocp.CheckpointManager":
        ocp = _orbax()
        (self._directory / name).mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_MAX_TO_KEEP,
            enable_async_checkpointing=False,
            create=False,
            cleanup_tmp_directories=True,  # which a kill leaves, and nobody else would delete
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix=name
            ),
        )
        return ocp.CheckpointManager(self._directory / name, options=options)

    def check_space(self, state: State) -> None:
        """Checks that the disk has room for all checkpoints of a run.

        Args:
            state: State of the run.

        Raises:
            InputError: It has not.
        """
        processes.by_first(lambda: self._check_space(state))

    def _check_space(self, state: State) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        size = _nbytes(state) + _nbytes(state.variables)
        needed = (_MAX_TO_KEEP + 1) * size  # an old one is deleted when the new one is complete
        used = sum(f.stat().st_size for f in self._directory.rglob("*") if f.is_file())
        free = shutil.disk_usage(self._directory).free + used
        if free < needed:
            raise InputError(
                f"{self._directory}: expected {needed / 2**20:,.0f} MiB of free disk for the "
                f"checkpoints, found {free / 2**20:,.0f}"
            )

    def save_last(self, state: State, loop: dict[str, Any]) -> None:
        """Saves a state under its step.

        Args:
            state: State of the run.
            loop: State of the training loop, of values that JSON holds.

        Raises:
            InputError: It cannot be written.
            DivergedError: A value of the state is not finite.
        """
        processes.by_first(lambda: self._save(_LAST, state, loop))

    def save_best(self, state: State) -> None:
        """Saves the variables of a state under its step.

        Args:
            state: State of the best epoch.

        Raises:
            InputError: They cannot be written.
            DivergedError: A value is not finite.
        """
        processes.by_first(lambda: self._save(_BEST, state, None))

    def _save(self, name: str, state: State, loop: dict[str, Any] | None) -> None:
        args = _orbax().args
        step, state = int(state.step), jax.device_get(state)
        tree = state.variables if loop is None else state
        check_finite(tree, f"the state at step {step}")
        hashes = array_hashes(tree)
        if loop is None:
            items = {"variables": args.StandardSave(tree)}
        else:
            items = {"state": args.StandardSave(tree), "loop": args.JsonSave(loop)}
            hashes["loop"] = json_hash(loop)
        folder = self._directory / name / str(step)
        try:
            manager = self._managers[name]
            # Orbax saves no step before a later one, which batched runs that were killed while they
            # wrote their results may have left.
            self._delete_from(name, step)
            saved = manager.save(
                step, args=args.Composite(**items, **{HASHES: args.JsonSave(hashes)})
            )
        except (OSError, ValueError) as error:  # tensorstore's are ValueErrors
            raise InputError(
                f"{folder}: cannot be written: {first_line(error)[:200]}; the checkpoints before "
                "it are complete"
            ) from error
        if not saved:
            raise InputError(f"{folder}: cannot be written: found later checkpoints next to it")

    def _delete_from(self, name: str, step: int) -> None:
        """Deletes the checkpoints of a step and of all later ones."""
        for later in self._managers[name].all_steps():
            if later >= step:
                self._managers[name].delete(later)

    def restore_last(self, like: Saved, loop: Any = dict[str, Any]) -> tuple[Saved, Any] | None:
        """Restores the last saved state, to resume a run.

        Best variables of later steps are deleted. A kill between the saving of the best variables
        and of the state leaves them, and the resumed run need not come to the same ones.

        Args:
            like: State of the same shapes and dtypes, on the devices that the restored one is put
                on. They may differ from the devices that saved it.
            loop: Schema of the state of the training loop, see `serjax.files.schema`; default: any.

        Returns:
            State of the run and of the training loop, or None if nothing was saved yet.

        Raises:
            InputError: The checkpoint is damaged, or is of another model or optimizer.
        """

        def read() -> tuple[Saved, Any] | None:
            steps = saved_steps(self._directory / _LAST)
            if saved_steps(self._directory / _BEST):
                self._delete_from(_BEST, steps[-1] + 1 if steps else 0)
            return self._read_last(steps, like, loop) if steps else None

        saved = processes.by_first(read)
        return None if saved is None else (_put_like(saved[0], like), saved[1])

    def _read_last(self, steps: list[int], like: Saved, loop: Any) -> tuple[Saved, Any]:
        folder = self._directory / _LAST / str(steps[-1])
        try:
            state, content = read_checkpoint(folder, "state", like, also="loop")
            schema.check(content, loop, f"{folder}: loop")
        except InputError as error:
            hint = f"; without that folder, step {steps[-2]} is used" if steps[1:] else ""
            raise InputError(f"{error}{hint}") from error
        return state, content

    def restore_best(self, like: Variables, step: int) -> Variables:
        """Restores the variables that were saved as the best ones.

        Args:
            like: Variables of the same shapes and dtypes, on the devices that the restored ones are
                put on.
            step: Step at which they were saved.

        Raises:
            InputError: There is no checkpoint of this step, or it is damaged or of another model.
        """

        def read() -> Variables:
            folder = self._directory / _BEST
            steps = saved_steps(folder)
            if step not in steps:
                raise InputError(
                    f"{folder}: expected a checkpoint of step {step}, found {steps or 'none'}"
                )
            try:
                return read_checkpoint(folder / str(step), "variables", like)[0]
            except InputError as error:
                raise InputError(f"{error}{self._offer(step)}") from error

        return _put_like(processes.by_first(read), like)

    def _offer(self, step: int) -> str:
        """Returns how to resume from a state before the best variables of a step, if there is one.

        The last state names them; the one before it names the best variables before them, unless
        the epochs since have not been better.
        """
        steps = saved_steps(self._directory / _LAST)
        earlier = [last for last in steps if last < step]
        if not earlier:
            return ""
        later = [str(self._directory / _LAST / str(last)) for last in steps if last >= step]
        return f"; without it and {' and '.join(later)}, --resume continues from step {earlier[-1]}"
