"""Batches streamed from a stored corpus that is too large to keep on the device.

What every batch of every epoch holds follows from the seed and the lengths alone. So the state of
a stream is the number of its next batch, a stopped one resumes at the same batch, and processes
agree on the batches without talking to each other.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import flax.struct
import numpy as np

from serjax.data.batches import Array, Examples, Segments, segments
from serjax.data.storage.store import Stored
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
    """Streams batches of like length, read ahead by threads.

    Every epoch holds every example once. Those of a batch share a size, the least of `sizes` that
    holds them; where they don't fill the batch, its last entries are empty. Every epoch has the
    same number of batches of each size.

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
        seed: Of the order, another one in every epoch, in [0, 2**32); None: by size, then record.
        shard: The index of this shard, and how many there are: each reads its own entries of every
            batch, so that all have equally many batches of the same sizes. None: this of JAX's
            processes.
        threads: That read at once.
        ahead: Batches that are read ahead.

    Returns:
        A dataset whose iterators yield `Batch` of NumPy arrays, `batch_size / shards` entries.

    Raises:
        InputError: The batch size is no multiple of the shards, there is no such shard, sizes do
            not ascend, the seed is out of its range, or there is nothing to read.
    """
    import grain

    index, count = _shard(shard)
    if batch_size <= 0 or batch_size % count:
        raise InputError(f"batch size: expected a multiple of {count} shards, found {batch_size}")
    if not sizes or sorted({*sizes}) != list(sizes) or sizes[0] <= 0:
        raise InputError(f"sizes: expected ascending numbers of samples, found {list(sizes)}")
    if seed is not None and not 0 <= seed < 2**32:
        raise InputError(f"seed: expected a number in [0, 2**32), found {seed}")
    records = np.arange(len(stored.utterances)) if members is None else np.asarray(members)
    if not len(records) or epochs < 1:
        raise InputError(
            f"stream of {stored.name}: expected utterances and epochs, found {len(records)} "
            f"utterances, {epochs} epochs"
        )
    table = segments(stored.samples[records], sizes[-1])
    table = table._replace(utterance_ids=records[table.utterance_ids].astype(np.int32))

    def read(batch: tuple[np.ndarray, int]) -> Batch:
        rows, size = batch
        return read_batch(stored.waveform, table, rows[index::count], size)

    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    order = _order(table.lengths, sizes, batch_size, seed)
    return order.repeat(epochs).map(read).to_iter_dataset(options)


def read_batch(
    read: Callable[[int], np.ndarray], table: Segments, rows: np.ndarray, size: int
) -> Batch:
    """Reads segments of utterances into a batch.

    Args:
        read: Index of an utterance -> its waveform, int16 `[samples]`.
        table: All segments.
        rows: `[batch]` those of the batch; -1 is an empty entry.
        size: Samples that each is padded to.
    """
    real = rows >= 0
    samples = np.zeros((len(rows), size), np.int16)
    for entry in np.flatnonzero(real):
        row = rows[entry]
        first, length = table.starts[row], table.lengths[row]
        samples[entry, :length] = read(int(table.utterance_ids[row]))[first : first + length]
    length = np.where(real, table.lengths[rows], 0)
    return Batch(samples, length, np.where(real, table.utterance_ids[rows], -1))


def to_examples(batch: Batch, labels: np.ndarray, room: int) -> tuple[Examples, np.ndarray]:
    """Turns a batch into what a training step takes of a corpus that lies on the device.

    So `step(state, *jax.device_put(to_examples(...)))`, with the step of
    `serjax.training.make_train_step`, trains on a stream; it is compiled once for every size.

    Args:
        batch: Of NumPy arrays.
        labels: `[utterances]` class of each utterance of the stored corpus.
        room: Samples of the longest cut that the step asks for.

    Returns:
        The batch's entries as examples, and their indices `[batch]` int32, -1 where empty.
    """
    entries, size = batch.samples.shape
    rows = np.arange(entries, dtype=np.int32)
    samples = np.pad(batch.samples.reshape(-1), (0, room))
    label = np.asarray(labels, np.int32)[batch.record]
    examples = Examples(samples, rows * np.int32(size), batch.length, label, batch.record)
    return examples, np.where(batch.length > 0, rows, np.int32(-1))


def _shard(shard: tuple[int, int] | None) -> tuple[int, int]:
    """This shard, and how many there are."""
    if shard is None:
        import jax

        return jax.process_index(), jax.process_count()
    index, count = shard
    if not 0 <= index < count:
        raise InputError(f"shard: expected an index below the number of shards, found {shard}")
    return shard


def _order(
    lengths: np.ndarray, sizes: Sequence[int], batch_size: int, seed: int | None
) -> "grain.MapDataset[tuple[np.ndarray, int]]":
    """The batches of an epoch: examples `[batch_size]` int32, filled up with -1, and their size."""
    import grain

    def shuffled(dataset: "grain.MapDataset") -> "grain.MapDataset":
        return dataset if seed is None else dataset.seed(seed).shuffle()

    fill = functools.partial(_fill, batch_size=batch_size)
    slots = np.searchsorted(np.asarray(sizes), lengths)
    by_size = []
    for slot in np.unique(slots):
        size = sizes[slot]
        same = grain.MapDataset.source(np.flatnonzero(slots == slot))
        rows = shuffled(same).batch(batch_size, batch_fn=fill)
        by_size.append(rows.map(lambda row, size=size: (row, size)))
    return shuffled(grain.MapDataset.concatenate(by_size))


def _fill(rows: Sequence[int], batch_size: int) -> np.ndarray:
    """Rows `[batch_size]` int32, -1 where they end."""
    filled = np.full(batch_size, -1, np.int32)
    filled[: len(rows)] = rows
    return filled
