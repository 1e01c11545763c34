"""Checkpoints of a run: the last state, to resume from, and the best variables, to use."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import jax
import numpy as np

from serjax.errors import InputError
from serjax.models.variables import Variables
from serjax.training.devices import processes
from serjax.training.devices.batch_sharding import put

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

_MAX_TO_KEEP = 2


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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _on_host(tree: Tree) -> Tree:
    """Replaces arrays by empty NumPy arrays, as which Orbax restores them on any devices."""
    return jax.tree.map(lambda x: np.empty(x.shape, x.dtype), tree)


def _check_shapes(tree: Any, like: Any) -> None:
    for x, y in zip(jax.tree.leaves(tree), jax.tree.leaves(like), strict=True):
        if x.shape != y.shape:
            raise ValueError(f"expected an array of shape {y.shape}, found {x.shape}")


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
    read, the one before it can. With several processes, the first one writes and reads, and all of
    them call the same methods.

    Args:
        directory: Folder `checkpoints` of the run folder; made if it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        if processes.is_first():
            self._last = self._manager("last")
            self._best = self._manager("best")

    def _manager(self, name: str) -> "ocp.CheckpointManager":
        ocp = _orbax()
        (self._directory / name).mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_MAX_TO_KEEP,
            enable_async_checkpointing=False,
            create=False,
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
        """
        processes.by_first(lambda: self._save(self._last, state, loop))

    def save_best(self, state: State) -> None:
        """Saves the variables of a state under its step.

        Args:
            state: State of the best epoch.

        Raises:
            InputError: They cannot be written.
        """
        processes.by_first(lambda: self._save(self._best, state, None))

    def _save(
        self, manager: "ocp.CheckpointManager", state: State, loop: dict[str, Any] | None
    ) -> None:
        ocp = _orbax()
        step, state = int(state.step), jax.device_get(state)
        if step in manager.all_steps():  # a resumed run saves it again
            manager.delete(step)
        if loop is None:
            items = {"variables": ocp.args.StandardSave(state.variables)}
        else:
            items = {"state": ocp.args.StandardSave(state), "loop": ocp.args.JsonSave(loop)}
        try:
            manager.save(step, args=ocp.args.Composite(**items))
        except (OSError, ValueError) as error:  # tensorstore's are ValueErrors
            raise InputError(
                f"{manager.directory / str(step)}: cannot be written: {_first_line(error)}; the "
                f"checkpoints before it are complete"
            ) from error

    def restore_last(self, like: Saved) -> tuple[Saved, dict[str, Any]] | None:
        """Restores the last saved state.

        Args:
            like: State of the same shapes and dtypes, on the devices that the restored one is put
                on. They may differ from the devices that saved it.

        Returns:
            State of the run and of the training loop, or None if nothing was saved yet.

        Raises:
            InputError: The checkpoint is damaged, or is of another model or optimizer.
        """

        def read() -> tuple[Saved, dict[str, Any]] | None:
            step = self._last.latest_step()
            if step is None:
                return None
            loop = _orbax().args.JsonRestore()
            restored = self._restore(self._last, step, "state", like, loop=loop)
            return restored["state"], restored["loop"]

        saved = processes.by_first(read)
        return None if saved is None else (_put_like(saved[0], like), saved[1])

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
            if step not in self._best.all_steps():
                raise InputError(
                    f"{self._directory / 'best'}: expected a checkpoint of step {step}, "
                    f"found {self._best.all_steps() or 'none'}"
                )
            return self._restore(self._best, step, "variables", like)["variables"]

        return _put_like(processes.by_first(read), like)

    def _restore(
        self, manager: "ocp.CheckpointManager", step: int, item: str, like: Any, **arguments: Any
    ) -> Any:
        ocp = _orbax()
        items = {item: ocp.args.StandardRestore(_on_host(like)), **arguments}
        try:
            restored = manager.restore(step, args=ocp.args.Composite(**items))
            _check_shapes(restored[item], like)
            return restored
        except Exception as error:  # Orbax raises plain exceptions for damaged files
            earlier = [other for other in manager.all_steps() if other != step]
            hint = f"; without that folder, step {max(earlier)} is used" if earlier else ""
            raise InputError(
                f"{manager.directory / str(step)}: not a checkpoint of this model, or a damaged "
                f"one: {_first_line(error)}{hint}"
            ) from error
