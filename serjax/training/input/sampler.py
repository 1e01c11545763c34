"""Sampler of the training set: the examples of an epoch, and their order."""

import dataclasses

import jax
import numpy as np

from serjax.data import batches
from serjax.data.batches import Examples
from serjax.features.front_ends import FrontEnd


@dataclasses.dataclass(frozen=True, eq=False)
class Sampler:
    """Shuffled batches of a training set, epoch after epoch.

    Attributes:
        indices: `[n]` int32 indices of the examples of the training set.
        utterance_ids: `[examples]` index of the utterance that each example is a segment of.
        one_segment_per_epoch: True if an epoch takes one random segment of each utterance, False
            if it takes all.
        key: PRNG key for the orders.
        batch_size: Number of entries of a batch.
    """

    indices: np.ndarray
    utterance_ids: np.ndarray
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
    ) -> "Sampler":
        """Makes the sampler of a training set.

        Args:
            examples: Examples of all splits.
            train: Indices of the utterances of the training set.
            front_end: Front end of the model.
            key: PRNG key for the orders.
            batch_size: Number of entries of a batch.
        """
        utterance_ids = np.asarray(examples.utterance)
        indices = np.flatnonzero(np.isin(utterance_ids, train)).astype(np.int32)
        if front_end.variable_length:
            # An epoch takes one random chunk of each utterance, however long it is.
            indices = indices[np.unique(utterance_ids[indices], return_index=True)[1]]
        return cls(indices, utterance_ids, front_end.one_segment_per_epoch, key, batch_size)

    @property
    def steps(self) -> int:
        """Number of batches of an epoch."""
        examples = self.indices
        if self.one_segment_per_epoch:
            examples = np.unique(self.utterance_ids[examples])
        return -(-len(examples) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Shuffles the examples of an epoch.

        Args:
            epoch: Number of the epoch.

        Returns:
            Indices `[steps, batch_size]` int32, -1 for padding of the last batch.
        """
        key, indices = jax.random.fold_in(self.key, epoch), self.indices
        if self.one_segment_per_epoch:
            indices = batches.one_segment_per_utterance(
                jax.random.fold_in(key, 1), indices, self.utterance_ids
            )
        return batches.epoch_order(key, indices, self.batch_size)
