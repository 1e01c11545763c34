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
        copies: Number of augmented copies of each example in an epoch, next to the unchanged one.
            Copy `c` of example `i` has the index `i + c * examples`.
    """

    indices: np.ndarray
    utterance_ids: np.ndarray
    one_segment_per_epoch: bool
    key: jax.Array
    batch_size: int
    copies: int = 0

    @classmethod
    def of(
        cls,
        examples: Examples,
        train: np.ndarray,
        front_end: FrontEnd,
        key: jax.Array,
        batch_size: int,
        copies: int = 0,
    ) -> "Sampler":
        """Makes the sampler of a training set.

        Args:
            examples: Examples of all splits.
            train: Indices of the utterances of the training set.
            front_end: Front end of the model.
            key: PRNG key for the orders.
            batch_size: Number of entries of a batch.
            copies: Number of augmented copies of each example in an epoch.
        """
        utterance_ids = np.asarray(examples.utterance)
        indices = np.flatnonzero(np.isin(utterance_ids, train)).astype(np.int32)
        # If the length varies, an epoch takes one chunk of each utterance, however long it is.
        has_one_segment = front_end.one_segment_per_epoch or front_end.variable_length
        return cls(indices, utterance_ids, has_one_segment, key, batch_size, copies)

    @property
    def steps(self) -> int:
        """Number of batches of an epoch."""
        examples = self.indices
        if self.one_segment_per_epoch:
            examples = np.unique(self.utterance_ids[examples])
        return -(-len(examples) * (1 + self.copies) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Shuffles the examples of an epoch.

        Args:
            epoch: Number of the epoch.

        Returns:
            Indices `[steps, batch_size]` int32, those of copies included, -1 for padding of the
            last batch.
        """
        key, indices = jax.random.fold_in(self.key, epoch), self.indices
        if self.one_segment_per_epoch:
            indices = batches.one_segment_per_utterance(
                jax.random.fold_in(key, 1), indices, self.utterance_ids
            )
        if self.copies:
            first = np.arange(1 + self.copies, dtype=np.int32) * len(self.utterance_ids)
            indices = (indices + first[:, None]).reshape(-1)
        return batches.epoch_order(key, indices, self.batch_size)
