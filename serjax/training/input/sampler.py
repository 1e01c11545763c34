"""What a run hears in an epoch, and in which order."""

import dataclasses

import jax
import numpy as np

from serjax.data import batches
from serjax.data.batches import Examples
from serjax.features.front_ends import FrontEnd


@dataclasses.dataclass(frozen=True, eq=False)
class Epochs:
    """The batches of a run's epochs.

    Attributes:
        members: `[n]` int32 indices of the examples of the training part.
        owners: `[examples]`, the utterance that each is a stretch of.
        one_segment_per_epoch: Whether an epoch takes one random example of each utterance, not all.
        key: Of the orders.
        batch_size: Entries of a batch.
    """

    members: np.ndarray
    owners: np.ndarray
    one_segment_per_epoch: bool
    key: jax.Array
    batch_size: int

    @classmethod
    def of(
        cls,
        examples: Examples,
        train: np.ndarray,
        front_end: FrontEnd,
        key: jax.Array,
        batch_size: int,
    ) -> "Epochs":
        """Those of a training part.

        Args:
            examples: Of all parts.
            train: Indices of the training part's utterances.
            front_end: What is heard.
            key: See above.
            batch_size: See above.
        """
        owners = np.asarray(examples.utterance)
        members = np.flatnonzero(np.isin(owners, train)).astype(np.int32)
        if front_end.variable_length:
            # An epoch takes one random chunk of each utterance, however long it is.
            members = members[np.unique(owners[members], return_index=True)[1]]
        return cls(members, owners, front_end.one_segment_per_epoch, key, batch_size)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        heard = (
            np.unique(self.utterance_ids[self.members])
            if self.one_segment_per_epoch
            else self.members
        )
        return -(-len(heard) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Indices of an epoch's examples `[steps, batch_size]` int32, -1 where empty."""
        key, heard = jax.random.fold_in(self.key, epoch), self.members
        if self.one_segment_per_epoch:
            heard = batches.one_segment_per_utterance(
                jax.random.fold_in(key, 1), heard, self.utterance_ids
            )
        return batches.epoch_order(key, heard, self.batch_size)
