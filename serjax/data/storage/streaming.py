"""Streaming of batches from a stored corpus that is too large for the device.

The contents of every batch depend only on the seed and the lengths. So the state of a stream is the
number of its next batch, an interrupted stream resumes at the same batch, and processes agree on
the batches without communication.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import flax.struct
import numpy as np

from serjax.data.batches import Array, Examples, Segments, segments
from serjax.data.storage.store import Stored
from serjax.errors import InputError

if TYPE_CHECKING:
    import grain

Item = TypeVar("Item")
Result = TypeVar("Result")


@flax.struct.dataclass
class Batch:
    """Utterances, or segments of them, padded to one size.

    Attributes:
        samples: `[batch, size]` int16, zero past their length.
        length: `[batch]` int32, number of samples of each entry; 0 if it is empty.
        record: `[batch]` int32, index of the utterance in the stored corpus; -1 if it is empty.
    """

    samples: Array
    length: Array
    record: Array


def batches(
    stored: Stored,
    batch_size: int,
    sizes: Sequence[int],
    *,
    indices: np.ndarray | None = None,
    epochs: int = 1,
    seed: int | None = 0,
    shard: tuple[int, int] | None = None,
    threads: int = 8,
    ahead: int = 16,
) -> "grain.IterDataset[Batch]":
    """Streams batches of segments of similar length, read ahead by threads.

    Every epoch holds every segment once. The segments of a batch share a size, the smallest of
    `sizes` that holds them. If they do not fill the batch, its last entries are empty. Every epoch
    has the same number of batches of each size.

    The iterator's `get_state()` is a small JSON-compatible dict. `set_state` on an iterator of the
    same stream resumes at the same batch. `grain.checkpoint` saves the state with Orbax, and
    `grain.experimental.device_put` moves batches to the device ahead of their use.

    Args:
        stored: Stored corpus, see `serjax.data.open_stored`.
        batch_size: Number of entries of a batch, over all shards.
        sizes: Ascending sizes in samples to which segments are padded; one program is compiled for
            each, see `serjax.data.batches.length_sizes`. Utterances longer than the last size are
            cut into segments of that size that cover them.
        indices: Indices of the utterances to read, such as those of the training set; None: all.
        epochs: Number of epochs.
        seed: Seed of the order, in [0, 2**32); every epoch has another order. None: by size, then
            record.
        shard: Index of this shard and number of shards. Each shard reads its own entries of every
            batch, so that all shards have the same number of batches of the same sizes. None: the
            index and number of JAX's processes.
        threads: Number of reading threads.
        ahead: Number of batches that are read ahead.

    Returns:
        A dataset whose iterators yield `Batch` of NumPy arrays with `batch_size / shards` entries.

    Raises:
        InputError: The batch size is no multiple of the number of shards, the shard is out of
            range, sizes do not ascend, the seed is out of range, or there is nothing to read.
    """
    shard_index, count = _shard(shard)
    if batch_size <= 0 or batch_size % count:
        raise InputError(f"batch size: expected a multiple of {count} shards, found {batch_size}")
    if not sizes or sorted({*sizes}) != list(sizes) or sizes[0] <= 0:
        raise InputError(f"sizes: expected ascending numbers of samples, found {list(sizes)}")
    if seed is not None and not 0 <= seed < 2**32:
        raise InputError(f"seed: expected a number in [0, 2**32), found {seed}")
    records = np.arange(len(stored.utterances)) if indices is None else np.asarray(indices)
    if not len(records) or epochs < 1:
        raise InputError(
            f"stream of {stored.name}: expected utterances and epochs, found {len(records)} "
            f"utterances, {epochs} epochs"
        )
    table = segments(stored.samples[records], sizes[-1])
    table = table._replace(utterance_ids=records[table.utterance_ids].astype(np.int32))

    def read(batch: tuple[np.ndarray, int]) -> Batch:
        rows, size = batch
        return read_batch(stored.waveform, table, rows[shard_index::count], size)

    order = _order(table.lengths, sizes, batch_size, seed)
    return read_ahead(order.repeat(epochs), read, threads=threads, ahead=ahead)


def read_ahead(
    items: "Sequence[Item] | grain.MapDataset[Item]",
    read: Callable[[Item], Result],
    *,
    threads: int = 8,
    ahead: int = 16,
) -> "grain.IterDataset[Result]":
    """Reads items in order, in threads that read ahead of the iteration.

    Args:
        items: Items to read, such as the rows of batches.
        read: Function from an item to its contents, called from several threads.
        threads: Number of reading threads.
        ahead: Number of items that are read ahead.

    Returns:
        A dataset whose iterators yield the contents of each item.
    """
    import grain

    dataset = items if isinstance(items, grain.MapDataset) else grain.MapDataset.source(items)
    options = grain.ReadOptions(num_threads=min(threads, ahead), prefetch_buffer_size=ahead)
    return dataset.map(read).to_iter_dataset(options)


def read_batch(
    read: Callable[[int], np.ndarray], table: Segments, rows: np.ndarray, size: int
) -> Batch:
    """Reads segments of utterances into a batch.

    Args:
        read: Function from the index of an utterance to its waveform, int16 `[samples]`.
        table: All segments.
        rows: `[batch]` indices of the segments in the batch; -1 is an empty entry.
        size: Number of samples of the padded segments.

    Returns:
        The batch, of NumPy arrays.
    """
    is_valid = rows >= 0
    samples = np.zeros((len(rows), size), np.int16)
    for entry in np.flatnonzero(is_valid):
        row = rows[entry]
        first, length = table.starts[row], table.lengths[row]
        samples[entry, :length] = read(int(table.utterance_ids[row]))[first : first + length]
    length = np.where(is_valid, table.lengths[rows], 0)
    return Batch(samples, length, np.where(is_valid, table.utterance_ids[rows], -1))


def to_examples(batch: Batch, labels: np.ndarray) -> tuple[Examples, np.ndarray]:
    """Converts a batch to the inputs of a training step on an in-memory corpus.

    `step(state, *jax.device_put(to_examples(...)))`, with the step of
    `serjax.training.make_train_step`, trains on a stream. It is compiled once for every size.

    Args:
        batch: Batch of NumPy arrays.
        labels: `[utterances]` class of each utterance of the stored corpus.

    Returns:
        The entries of the batch as examples, and their indices `[batch]` int32, -1 if empty.
    """
    entries, size = batch.samples.shape
    rows = np.arange(entries, dtype=np.int32)
    label = np.asarray(labels, np.int32)[batch.record]
    start = rows * np.int32(size)
    samples = batch.samples.reshape(-1)
    examples = Examples(samples, start, batch.length, label, batch.record, longest=size)
    return examples, np.where(batch.length > 0, rows, np.int32(-1))


def _shard(shard: tuple[int, int] | None) -> tuple[int, int]:
    """Returns the index of this shard and the number of shards."""
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
    """Returns the batches of an epoch: rows `[batch_size]` int32, -1 if empty, and their size."""
    import grain

    def shuffled(dataset: "grain.MapDataset") -> "grain.MapDataset":
        return dataset if seed is None else dataset.seed(seed).shuffle()

    pad = functools.partial(_pad, batch_size=batch_size)
    buckets = np.searchsorted(np.asarray(sizes), lengths)
    by_size = []
    for bucket in np.unique(buckets):
        size = sizes[bucket]
        of_size = grain.MapDataset.source(np.flatnonzero(buckets == bucket))
        rows = shuffled(of_size).batch(batch_size, batch_fn=pad)
        by_size.append(rows.map(lambda row, size=size: (row, size)))
    return shuffled(grain.MapDataset.concatenate(by_size))


def _pad(rows: Sequence[int], batch_size: int) -> np.ndarray:
    """Returns rows `[batch_size]` int32, padded with -1."""
    padded = np.full(batch_size, -1, np.int32)
    padded[: len(rows)] = rows
    return padded
