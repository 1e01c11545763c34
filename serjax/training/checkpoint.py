"""Checkpoints of a run: the last state, to go on from, and the best variables, to use."""

from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp

from serjax.errors import InputError
from serjax.training.state import TrainState, Variables

Tree = TypeVar("Tree")


def _abstract(tree: Tree) -> Tree:
    # Where they are to lie is said, for the devices that saved them may not be there.
    one = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

    def abstract(x: Any) -> jax.ShapeDtypeStruct:
        sharding = getattr(x, "sharding", None) or one
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return jax.tree.map(abstract, tree)


class Checkpoints:
    """Two Orbax checkpoint directories below a run's `checkpoints/`.

    Orbax writes a checkpoint beside the others and renames it when it is complete, and an old one
    is deleted only then, so a kill at any moment leaves a whole one. Two of the best are kept:
    where a run is killed between saving a new best and the state that knows of it, the state
    still finds the one it names.

    Args:
        directory: `checkpoints` of the run folder; made if it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._last = self._manager("last", keep=1)
        self._best = self._manager("best", keep=2)

    def _manager(self, name: str, keep: int) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=False, create=True
        )
        return ocp.CheckpointManager(self._directory / name, options=options)

    def save_last(self, state: TrainState, loop: dict[str, Any]) -> None:
        """Saves the state and the loop's own JSON values under the state's step."""
        self._save(self._last, state, loop)

    def save_best(self, state: TrainState) -> None:
        """Saves the variables under the state's step."""
        self._save(self._best, state, None)

    def _save(
        self, manager: ocp.CheckpointManager, state: TrainState, loop: dict[str, Any] | None
    ) -> None:
        step = int(state.step)
        if step in manager.all_steps():  # a resumed run comes by here again
            manager.delete(step)
        if loop is None:
            items = {"variables": ocp.args.StandardSave(state.variables)}
        else:
            items = {"state": ocp.args.StandardSave(state), "loop": ocp.args.JsonSave(loop)}
        manager.save(step, args=ocp.args.Composite(**items))

    def restore_last(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The last saved state and loop values, or None if nothing was saved yet.

        It lies where `like` does, on whichever devices it was saved.

        Raises:
            InputError: The checkpoint is of another model or optimizer.
        """
        step = self._last.latest_step()
        if step is None:
            return None
        restored = self._restore(
            self._last,
            step,
            state=ocp.args.StandardRestore(_abstract(like)),
            loop=ocp.args.JsonRestore(),
        )
        return restored["state"], restored["loop"]

    def restore_best(self, like: Variables, step: int) -> Variables:
        """The variables saved as best at a step.

        Raises:
            InputError: There is none, or it is of another model.
        """
        if step not in self._best.all_steps():
            raise InputError(
                f"{self._directory / 'best'}: expected a checkpoint of step {step}, "
                f"found {self._best.all_steps() or 'none'}"
            )
        restored = self._restore(
            self._best, step, variables=ocp.args.StandardRestore(_abstract(like))
        )
        return restored["variables"]

    def _restore(self, manager: ocp.CheckpointManager, step: int, **items: Any) -> Any:
        try:
            return manager.restore(step, args=ocp.args.Composite(**items))
        except (ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0][:200]
            raise InputError(
                f"{manager.directory / str(step)}: not a checkpoint of this model: {reason}"
            ) from error
