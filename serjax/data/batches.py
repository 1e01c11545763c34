"""Utterances on the device, and the segments of them that make batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from serjax.errors import InputError

Array = jax.Array | np.ndarray


@flax.struct.dataclass
class Examples:
    """Waveforms end to end as 16-bit integers, and the stretches of them that are examples.

    Attributes:
        samples: `[total]` int16, followed by zeros so that a cut never runs past the end.
        start: `[examples]` int32, first sample of an example in `samples`.
        length: `[examples]` int32, samples of it.
        label: `[examples]` int32, its class.
        utterance: `[examples]` int32, the utterance that it is a stretch of.
    """

    samples: Array
    start: Array
    length: Array
    label: Array
    utterance: Array

    def __len__(self) -> int:
        return self.start.shape[0]


class Segments(NamedTuple):
    """The examples of a corpus, on the host.

    Attributes:
        starts: `[examples]`, first sample of each: among all samples that lie end to end, or of
            its utterance where utterances are read one by one.
        lengths: `[examples]`, samples of each.
        owners: `[examples]`, the utterance that each is a stretch of.
    """

    starts: np.ndarray
    lengths: np.ndarray
    utterance_ids: np.ndarray

    @classmethod
    def of(cls, examples: Examples) -> "Segments":
        """Those of examples, wherever they are."""
        return cls(*jax.device_get((examples.start, examples.length, examples.utterance)))


def segment_starts(length: int, longest: int) -> list[int]:
    """First samples of the segments that cover an utterance.

    As few segments of `longest` samples as cover it, spread evenly: neighbours overlap a little
    where the length is no multiple, instead of leaving a short rest that says nothing.

    >>> segment_starts(250, 100)
    [0, 75, 150]
    """
    count = max(-(-length // longest), 1)
    if count == 1:
        return [0]
    return [round(i * (length - longest) / (count - 1)) for i in range(count)]


def segments(lengths: Sequence[int] | np.ndarray, longest: int) -> Segments:
    """The segments that cover utterances, int32, each in its utterance.

    Args:
        lengths: Samples of each utterance.
        longest: Samples of the longest segment.
    """
    table = [
        (start, min(longest, length - start), index)
        for index, length in enumerate(map(int, lengths))
        for start in segment_starts(length, longest)
    ]
    return Segments(*np.array(table, np.int32).reshape(-1, 3).T)


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """A waveform in [-1, 1] with 16 bits; from a 16-bit recording exactly its samples.

    Args:
        waveform: float32 `[samples]`.

    Returns:
        int16 `[samples]`, 32768 times as much, the full scale +1 as 32767.
    """
    return np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)


def from_int16(samples: np.ndarray) -> np.ndarray:
    """A waveform, float32 `[samples]` in [-1, 1], of what `to_int16` makes of it."""
    return samples.astype(np.float32) / 32768.0


def pack(
    waveforms: Sequence[np.ndarray], labels: Sequence[int], longest: int, room: int
) -> Examples:
    """Lays waveforms end to end and cuts each into segments, on the host.

    Args:
        waveforms: float32 `[samples]` in [-1, 1]; stored with 16 bits.
        labels: Class of each waveform.
        longest: Samples of the longest segment.
        room: Samples of the longest cut that will be asked for.

    Returns:
        Examples of NumPy arrays; `jax.device_put` moves them to a device.

    Raises:
        InputError: More than 2^31 samples, which int32 positions cannot address.
    """
    lengths = [len(w) for w in waveforms]
    # Whole mebisamples, so that corpora of like size share a compiled program.
    total = -(-(sum(lengths) + room) // 2**20) * 2**20
    if total >= 2**31:
        raise InputError(
            f"corpus: expected fewer than 2^31 samples to keep on the device, found {total}; "
            "what `serjax corpus NAME --write FOLDER` stores, --dataset tfds streams"
        )
    samples = np.zeros(total, np.int16)
    positions = np.cumsum([0, *lengths], dtype=np.int32)
    for position, waveform in zip(positions, waveforms, strict=False):
        samples[position : position + len(waveform)] = to_int16(waveform)
    start, length, owner = segments(lengths, longest)
    label = np.asarray(labels, np.int32)[owner]
    return Examples(samples, positions[owner] + start, length, label, owner)


def cut(samples: Array, start: Array, length: Array, size: int) -> jax.Array:
    """Waveforms `[batch, size]` float32 from their places in `samples`, zero past their length."""
    waveforms = jax.vmap(lambda first: jax.lax.dynamic_slice(samples, (first,), (size,)))(start)
    waveforms = waveforms.astype(jnp.float32) / 32768.0
    return jnp.where(jnp.arange(size) < length[:, None], waveforms, 0.0)


def select(examples: Examples, indices: jax.Array) -> tuple[jax.Array, ...]:
    """Start, length, label of the examples at `indices` `[batch]`; -1 is an empty entry.

    Returns:
        start, length (0 if empty), label, and weight: 1.0, or 0.0 if empty.
    """
    real = indices >= 0
    at = jnp.maximum(indices, 0)
    length = jnp.where(real, examples.length[at], 0)
    return examples.start[at], length, examples.label[at], real.astype(jnp.float32)


def one_segment_per_utterance(
    key: jax.Array, members: np.ndarray, owners: np.ndarray
) -> np.ndarray:
    """A random example of each utterance.

    Args:
        key: Of the draw.
        members: `[n]` indices of the examples.
        owners: `[examples]`, the utterance that each is a stretch of.

    Returns:
        `[utterances]` some of the members.
    """
    shuffled = members[np.asarray(jax.random.permutation(key, len(members)))]
    _, first = np.unique(owners[shuffled], return_index=True)
    return shuffled[first]


def epoch_order(key: jax.Array, members: np.ndarray, batch_size: int) -> np.ndarray:
    """A random order of examples in batches.

    Args:
        key: Of the order.
        members: `[n]` indices of the examples.
        batch_size: Entries of a batch.

    Returns:
        `[batches, batch_size]` int32, every member once, filled up with -1.
    """
    order = members[np.asarray(jax.random.permutation(key, len(members)))]
    batches = -(-len(members) // batch_size)
    filled = np.full(batches * batch_size, -1, np.int32)
    filled[: len(members)] = order
    return filled.reshape(batches, batch_size)


def evaluation_batches(
    lengths: np.ndarray, members: np.ndarray, batch_size: int, sizes: Sequence[int]
) -> Iterator[tuple[np.ndarray, int]]:
    """Batches of similar length, so that few sizes are ever compiled.

    Args:
        lengths: `[examples]`, samples of each.
        members: `[n]` indices of the examples to evaluate.
        batch_size: Entries of a batch.
        sizes: Ascending sizes to which examples are padded; the last holds the longest.

    Yields:
        Indices `[batch_size]` int32, filled up with -1, and their size.
    """
    slots = np.searchsorted(np.asarray(sizes), lengths[members])
    for slot, size in enumerate(sizes):
        same = members[slots == slot].astype(np.int32)
        for first in range(0, len(same), batch_size):
            batch = same[first : first + batch_size]
            yield np.pad(batch, (0, batch_size - len(batch)), constant_values=-1), size


def length_sizes(longest: int, shortest: int) -> list[int]:
    """Ascending sizes in samples, each half as large again as the one before, up to `longest`."""
    sizes = []
    size = shortest
    while size < longest:
        sizes.append(size)
        size = size * 3 // 2
    return [*sizes, longest]
