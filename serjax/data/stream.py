"""Batches streamed from a stored corpus that is too large to keep on the device.

What every batch of every epoch holds is computed from the seed and the lengths alone, so the state of
a stream is the number of its next batch: a stopped stream resumes at the same one, and processes
agree on the batches without talking to each other.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import flax.struct
import numpy as np

from serjax.data.batches import Array, segment_starts
from serjax.data.stored import Stored
from serjax.errors import InputError

if TYPE_CHECKING:
    import grain


@flax.struct.dataclass
class Batch:
    """Utterances, or segments of them, padded to one size.

    Attributes:
        samples: `[batch, size]` int16, zero past their length.
        length: `[batch]` int32, samples of each; 0 where the entry is empty.
        record: `[batch]` int32, index of the utterance in the stored corpus; -1 where empty.
    """

    samples: Array
    length: Array
    record: Array


@dataclass(frozen=True, eq=False)
class Plan:
    """Which examples every batch of some epochs holds: a sequence of batches.

    Every epoch holds every example once. Those of a batch share a size, the least of `sizes` that
    holds them; a batch that examples of its size don't fill is filled up with -1. Each epoch has
    the same number of batches of each size.

    Attributes:
        lengths: `[examples]`, samples of each.
        sizes: Ascending sizes to which examples are padded; the last holds the longest.
        batch_size: Entries of a batch.
        epochs: How many.
        seed: Of the order, which is another one in every epoch; None: by size, then index.
    """

    lengths: np.ndarray
    sizes: Sequence[int]
    batch_size: int
    epochs: int
    seed: int | None

    @functools.cached_property
    def _slots(self) -> np.ndarray:
        return np.searchsorted(np.asarray(self.sizes), self.lengths)

    @functools.cached_property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch."""
        return int(np.sum(-(-np.bincount(self._slots) // self.batch_size)))

    def __len__(self) -> int:
        return self.epochs * self.batches_per_epoch

    def __getitem__(self, step: int) -> tuple[np.ndarray, int]:
        """Returns the indices of a batch, `[batch_size]` int32, and its size."""
        epoch, place = divmod(step, self.batches_per_epoch)
        return self._epoch(epoch)[place]

    # Two, because what is read ahead reaches into the next epoch.
    @functools.lru_cache(maxsize=2)  # noqa: B019: plans live as long as the process streams
    def _epoch(self, epoch: int) -> list[tuple[np.ndarray, int]]:
        order = np.arange(len(self.lengths), dtype=np.int32)
        if self.seed is not None:
            draw = np.random.default_rng([self.seed, epoch])
            order = draw.permutation(order)
        batches = []
        for slot, size in enumerate(self.sizes):
            same = order[self._slots[order] == slot]
            filled = np.full(-(-len(same) // self.batch_size) * self.batch_size, -1, np.int32)
            filled[: len(same)] = same
            batches += [(rows, size) for rows in filled.reshape(-1, self.batch_size)]
        if self.seed is not None:
            batches = [batches[i] for i in draw.permutation(len(batches))]
        return batches


def batches(
    stored: Stored,
    batch_size: int,
    sizes: Sequence[int],
    *,
    members: np.ndarray | None = None,
    epochs: int = 1,
    seed: int | None = 0,
    shard: tuple[int, int] | None = None,
    threads: int = 8,
    ahead: int = 16,
) -> "grain.IterDataset[Batch]":
    """Streams batches, read ahead by threads.

    The iterator's `get_state()` is a small JSON-compatible dict; `set_state` on an iterator of the
    same stream goes on with the same next batch. `grain.checkpoint` saves it with Orbax, and
    `grain.experimental.device_put` moves batches to the device ahead of their use.

    Args:
        stored: What is read, see `serjax.data.open_stored`.
        batch_size: Entries of a batch, over all shards.
        sizes: Ascending sizes in samples to which utterances are padded, so that as many programs
            are compiled: see `serjax.data.batches.length_sizes`. Utterances longer than the last
            are cut into segments of that size that cover them.
        members: Indices of the utterances that are read, such as those of a part; None: all.
        epochs: How many times.
        seed: Of the order, another one in every epoch; None: unshuffled.
        shard: The index of this shard, and how many there are: each reads its own entries of every
            batch, so that all have equally many batches of the same sizes. None: this of JAX's
            processes.
        threads: That read at once.
        ahead: Batches that are read ahead.

    Returns:
        A dataset whose iterators yield `Batch` of NumPy arrays, `batch_size / shards` entries.

    Raises:
        InputError: The batch size is no multiple of the shards, there is no such shard, sizes do
            not ascend, or there is nothing to read.
    """
    import grain

    index, count = _shard(shard)
    if batch_size <= 0 or batch_size % count:
        raise InputError(f"batch size: expected a multiple of {count} shards, found {batch_size}")
    if not sizes or sorted({*sizes}) != list(sizes) or sizes[0] <= 0:
        raise InputError(f"sizes: expected ascending numbers of samples, found {list(sizes)}")
    records = np.arange(len(stored.utterances)) if members is None else np.asarray(members)
    if not len(records) or epochs < 1:
        raise InputError(
            f"stream of {stored.name}: expected utterances and epochs, found {len(records)} "
            f"utterances, {epochs} epochs"
        )
    longest = sizes[-1]
    record, start, length = np.array(
        [
            (i, first, min(longest, stored.samples[i] - first))
            for i in records
            for first in segment_starts(int(stored.samples[i]), longest)
        ],
        np.int32,
    ).T

    def read(step: tuple[np.ndarray, int]) -> Batch:
        rows, size = step
        rows = rows[index::count]
        samples = np.zeros((len(rows), size), np.int16)
        real = rows >= 0
        for entry, row in enumerate(rows):
            if real[entry]:
                waveform = stored.waveform(int(record[row]))
                samples[entry, : length[row]] = waveform[start[row] : start[row] + length[row]]
        return Batch(samples, np.where(real, length[rows], 0), np.where(real, record[rows], -1))

    plan = Plan(length, tuple(sizes), batch_size, epochs, seed)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    return grain.MapDataset.source(plan).map(read).to_iter_dataset(options)


def _shard(shard: tuple[int, int] | None) -> tuple[int, int]:
    """This shard, and how many there are."""
    if shard is None:
        import jax

        return jax.process_index(), jax.process_count()
    index, count = shard
    if not 0 <= index < count:
        raise InputError(f"shard: expected an index below the number of shards, found {shard}")
    return shard
