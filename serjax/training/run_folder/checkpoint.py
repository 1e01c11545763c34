"""Checkpoints of a run: the last state, to go on from, and the best variables, to use."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import jax
import numpy as np

from serjax.errors import InputError
from serjax.training.devices import processes
from serjax.training.devices.batch_sharding import put
from serjax.training.state import Variables

if TYPE_CHECKING:
    import orbax.checkpoint as ocp


_KEPT = 2


class State(Protocol):
    """What is saved: the state of a run, or of several together."""

    @property
    def step(self) -> Any:
        """Steps done, by which a checkpoint is named."""

    @property
    def variables(self) -> Variables:
        """What is used of it when it is the best."""


Tree = TypeVar("Tree")
Saved = TypeVar("Saved", bound=State)


def _orbax() -> Any:
    """Imported where it is used, for it takes half as long as JAX itself."""
    import orbax.checkpoint

    return orbax.checkpoint


def _nbytes(tree: Any) -> int:
    return sum(x.nbytes for x in jax.tree.leaves(tree))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _on_host(tree: Tree) -> Tree:
    """What Orbax is to restore as NumPy arrays, whichever devices saved it."""
    return jax.tree.map(lambda x: np.empty(x.shape, x.dtype), tree)


def _check_shapes(tree: Any, like: Any) -> None:
    for x, y in zip(jax.tree.leaves(tree), jax.tree.leaves(like), strict=True):
        if x.shape != y.shape:
            raise ValueError(f"expected an array of shape {y.shape}, found {x.shape}")


def _placed(tree: Tree, like: Tree) -> Tree:
    one = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda x, y: put(x, getattr(y, "sharding", None) or one), tree, like)


class Checkpoints:
    """Two Orbax checkpoint directories below a run's `checkpoints/`.

    Orbax writes a checkpoint beside the others and renames it when it is complete, and an old one
    is deleted only then, so a kill at any moment, or a full disk, leaves a whole one. Two of each
    are kept: where a run is killed between saving a new best and the state that knows of it, the
    state still finds the one it names; and where the last state cannot be read, the one before it
    can. Of several processes, the first one writes and reads, and all call the same methods.

    Args:
        directory: `checkpoints` of the run folder; made if it does not exist.
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
            max_to_keep=_KEPT,
            enable_async_checkpointing=False,
            create=False,
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix=name
            ),
        )
        return ocp.CheckpointManager(self._directory / name, options=options)

    def check_space(self, state: State) -> None:
        """Raises InputError where the disk has no room for all the checkpoints of a run."""
        processes.by_first(lambda: self._check_space(state))

    def _check_space(self, state: State) -> None:
        each = _nbytes(state) + _nbytes(state.variables)
        needed = (_KEPT + 1) * each  # an old one goes when the new one is complete
        taken = sum(f.stat().st_size for f in self._directory.rglob("*") if f.is_file())
        free = shutil.disk_usage(self._directory).free + taken
        if free < needed:
            raise InputError(
                f"{self._directory}: expected {needed / 2**20:,.0f} MiB of free disk for the "
                f"checkpoints, found {free / 2**20:,.0f}"
            )

    def save_last(self, state: State, loop: dict[str, Any]) -> None:
        """Saves the state and the loop's own JSON values under the state's step."""
        processes.by_first(lambda: self._save(self._last, state, loop))

    def save_best(self, state: State) -> None:
        """Saves the variables under the state's step."""
        processes.by_first(lambda: self._save(self._best, state, None))

    def _save(
        self, manager: "ocp.CheckpointManager", state: State, loop: dict[str, Any] | None
    ) -> None:
        ocp = _orbax()
        step, state = int(state.step), jax.device_get(state)
        if step in manager.all_steps():  # a resumed run comes by here again
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
                f"checkpoints before it are whole"
            ) from error

    def restore_last(self, like: Saved) -> tuple[Saved, dict[str, Any]] | None:
        """The last saved state and loop values, or None if nothing was saved yet.

        It lies where `like` does, on whichever devices it was saved.

        Raises:
            InputError: The checkpoint is of another model or optimizer.
        """

        def read() -> tuple[Saved, dict[str, Any]] | None:
            step = self._last.latest_step()
            if step is None:
                return None
            loop = _orbax().args.JsonRestore()
            restored = self._restore(self._last, step, "state", like, loop=loop)
            return restored["state"], restored["loop"]

        saved = processes.by_first(read)
        return None if saved is None else (_placed(saved[0], like), saved[1])

    def restore_best(self, like: Variables, step: int) -> Variables:
        """The variables saved as best at a step.

        Raises:
            InputError: There is none, or it is of another model.
        """

        def read() -> Variables:
            if step not in self._best.all_steps():
                raise InputError(
                    f"{self._directory / 'best'}: expected a checkpoint of step {step}, "
                    f"found {self._best.all_steps() or 'none'}"
                )
            return self._restore(self._best, step, "variables", like)["variables"]

        return _placed(processes.by_first(read), like)

    def _restore(
        self, manager: "ocp.CheckpointManager", step: int, item: str, like: Any, **others: Any
    ) -> Any:
        ocp = _orbax()
        items = {item: ocp.args.StandardRestore(_on_host(like)), **others}
        try:
            restored = manager.restore(step, args=ocp.args.Composite(**items))
            _check_shapes(restored[item], like)
            return restored
        except Exception as error:  # Orbax raises plain ones for files that are damaged
            earlier = [other for other in manager.all_steps() if other != step]
            hint = f"; without that folder, step {max(earlier)} is taken" if earlier else ""
            raise InputError(
                f"{manager.directory / str(step)}: not a checkpoint of this model, or a damaged "
                f"one: {_first_line(error)}{hint}"
            ) from error
