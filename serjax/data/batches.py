"""Utterances on the device, their segments, and the batches made of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from serjax.errors import InputError

Array = jax.Array | np.ndarray

# Batches are padded to a multiple of it, so that corpora of similar length share compiled programs.
_SIZE_MULTIPLE = 2**13
# Peaks below this are rounding of zeros; the weakest float32 recordings lie far above it.
_SILENCE = 2.0**-40
# Peaks up to this are clipped to 1 instead of losing a bit of all samples.
_CLIPPED = 1 + 2.0**-10


@flax.struct.dataclass
class Examples:
    """Concatenated waveforms as 16-bit integers, and their segments, which are the examples.

    Attributes:
        samples: `[total]` int16, each utterance as of `amplified`, padded with zeros so that no
            cut exceeds the end.
        start: `[examples]` int32, first sample of each segment in `samples`.
        length: `[examples]` int32, number of samples of each segment.
        label: `[examples]` int32, class of each segment.
        utterance: `[examples]` int32, index of the utterance of each segment.
        longest: Number of samples that a batch is padded to, static, so that it is a shape.
        gain: `[examples]` float32, factor by which each segment was amplified; None
            where nothing depends on it.
    """

    samples: Array
    start: Array
    length: Array
    label: Array
    utterance: Array
    longest: int = flax.struct.field(pytree_node=False)
    gain: Array | None = None

    def __len__(self) -> int:
        return self.start.shape[0]


class Segments(NamedTuple):
    """The segments of a corpus, on the host.

    Attributes:
        starts: `[segments]` first sample of each segment: in the concatenated waveforms, or in its
            utterance if utterances are streamed.
        lengths: `[segments]` number of samples of each segment.
        utterance_ids: `[segments]` index of the utterance of each segment.
    """

    starts: np.ndarray
    lengths: np.ndarray
    utterance_ids: np.ndarray

    @classmethod
    def of(cls, examples: Examples) -> "Segments":
        """Returns the segments of examples, which may be on a device."""
        return cls(*jax.device_get((examples.start, examples.length, examples.utterance)))


def segment_starts(length: int, longest: int) -> list[int]:
    """Returns the first samples of the segments that cover an utterance.

    The number of segments is minimal and they are evenly spaced. They overlap a little where the
    length is no multiple of `longest`; otherwise the last segment would be too short to be useful.

    >>> segment_starts(250, 100)
    [0, 75, 150]

    Args:
        length: Number of samples of the utterance.
        longest: Number of samples of a segment.
    """
    count = max(-(-length // longest), 1)
    if count == 1:
        return [0]
    return [round(i * (length - longest) / (count - 1)) for i in range(count)]


def segments(lengths: Sequence[int] | np.ndarray, longest: int) -> Segments:
    """Returns the segments that cover utterances; their starts are relative to their utterance.

    >>> segments([250, 80], 100).utterance_ids.tolist()
    [0, 0, 0, 1]

    Args:
        lengths: `[utterances]` number of samples of each utterance.
        longest: Number of samples of the longest segment.

    Returns:
        The segments, int32.
    """
    table = [
        (start, min(longest, length - start), index)
        for index, length in enumerate(map(int, lengths))
        for start in segment_starts(length, longest)
    ]
    return Segments(*np.array(table, np.int32).reshape(-1, 3).T)


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """Converts a waveform to 16 bits. The samples of a 16-bit recording are restored exactly.

    Args:
        waveform: float32 `[samples]` in [-1, 1].

    Returns:
        int16 `[samples]`, the waveform times 32768, with +1 clipped to 32767.
    """
    return np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)


def stored_16_bits(waveform: np.ndarray) -> tuple[np.ndarray, float]:
    """Converts a waveform to 16 bits: as it is if it has 16 bits, and as of `amplified` otherwise.

    Args:
        waveform: float32 `[samples]`.

    Returns:
        int16 `[samples]`, and the factor by which the waveform was amplified.
    """
    samples = to_int16(waveform)
    return (samples, 1.0) if np.array_equal(from_int16(samples), waveform) else amplified(waveform)


def amplified(waveform: np.ndarray) -> tuple[np.ndarray, float]:
    """Converts a waveform to 16 bits at full level, without its constant offset.

    The gain is a power of two, so that a quiet recording keeps its bits: the samples of a 16-bit
    recording are kept exactly, but for the offset, a whole number of their steps. Features do not
    depend on level and offset.

    >>> import numpy as np
    >>> samples, gain = amplified(np.array([0.0625, -0.03125, -0.03125], np.float32))
    >>> samples.tolist(), gain
    ([16384, -8192, -8192], 8.0)

    Args:
        waveform: float32 `[samples]`.

    Returns:
        int16 `[samples]`, and the factor by which the waveform was amplified.
    """
    exact = np.asarray(waveform, np.float64)
    offset = float(exact.mean()) if len(exact) else 0.0
    highest, lowest = exact.max(initial=offset) - offset, exact.min(initial=offset) - offset
    peak = max(highest * (32768 / 32767.5), -lowest)  # 16 bits have one more step below zero
    gain = 1.0
    if peak >= _SILENCE and not 1 <= peak <= _CLIPPED:
        gain = 2.0 ** -int(np.ceil(np.log2(peak)))
    steps = np.rint(exact * (gain * 32768)) - np.rint(offset * gain * 32768)
    return np.clip(steps, -32768, 32767).astype(np.int16), gain


def from_int16(samples: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Converts 16-bit samples to a waveform, the inverse of `to_int16`.

    Args:
        samples: int16 `[samples]`.
        gain: Factor by which the samples were amplified.

    Returns:
        float32 `[samples]`.
    """
    return samples.astype(np.float32) / np.float32(32768.0 * gain)


def pack(
    waveforms: Sequence[np.ndarray], labels: Sequence[int], longest: int, room: int
) -> Examples:
    """Concatenates waveforms and cuts each into segments, on the host.

    >>> import numpy as np
    >>> examples = pack([np.zeros(250, np.float32)], [2], longest=100, room=100)
    >>> examples.start.tolist(), examples.label.tolist()
    ([0, 75, 150], [2, 2, 2])

    Args:
        waveforms: Waveforms, float32 `[samples]`; stored with 16 bits, see `amplified`.
        labels: Class of each waveform.
        longest: Number of samples of the longest segment.
        room: Number of samples of the longest cut, see `cut`; `Examples.longest` is no more.

    Returns:
        Examples of NumPy arrays; `jax.device_put` moves them to a device.

    Raises:
        InputError: There are more than 2^31 samples, which int32 positions cannot address.
    """
    lengths = [len(w) for w in waveforms]
    # Whole mebisamples, so that corpora of similar size share a compiled program.
    total = -(-(sum(lengths) + room) // 2**20) * 2**20
    if total >= 2**31:
        raise InputError(
            f"corpus: expected fewer than 2^31 samples to fit on the device, found {total}; "
            "`serjax corpus NAME --write FOLDER` stores the corpus, --dataset tfds streams it"
        )
    samples = np.zeros(total, np.int16)
    positions = np.cumsum([0, *lengths], dtype=np.int32)
    gains = np.ones(len(waveforms), np.float32)
    for i, (position, waveform) in enumerate(zip(positions, waveforms, strict=False)):
        samples[position : position + len(waveform)], gains[i] = amplified(waveform)
    start, length, utterance = segments(lengths, longest)
    label = np.asarray(labels, np.int32)[utterance]
    size = padded_size(length, room)
    first = positions[utterance] + start
    return Examples(samples, first, length, label, utterance, size, gains[utterance])


def padded_size(lengths: np.ndarray, most: int) -> int:
    """Returns the number of samples that batches of these segments are padded to.

    >>> padded_size(np.array([9_000, 12_000]), most=64_000)
    16384

    Args:
        lengths: `[segments]` number of samples of each segment.
        most: Largest result, at least the longest length.
    """
    longest = int(lengths.max(initial=1))
    return max(longest, min(-(-longest // _SIZE_MULTIPLE) * _SIZE_MULTIPLE, most))


def cut(samples: Array, start: Array, length: Array, size: int) -> jax.Array:
    """Cuts a batch of segments out of concatenated waveforms.

    Args:
        samples: `[total]` int16.
        start: `[batch]` int32, first sample of each segment.
        length: `[batch]` int32, number of samples of each segment.
        size: Number of samples of the padded segments.

    Returns:
        Waveforms `[batch, size]` float32 in [-1, 1], at full level, zero past their length.
    """
    waveforms = jax.vmap(lambda first: jax.lax.dynamic_slice(samples, (first,), (size,)))(start)
    waveforms = waveforms.astype(jnp.float32) / 32768.0
    return jnp.where(jnp.arange(size)[None] < length[:, None], waveforms, 0.0)


def select(examples: Examples, indices: jax.Array) -> tuple[jax.Array, ...]:
    """Selects the examples of a batch.

    Args:
        examples: The examples.
        indices: `[batch]` int32, indices of the examples; -1 is an empty entry.

    Returns:
        Start, length (0 if empty), label and weight (1.0, or 0.0 if empty), each `[batch]`.
    """
    is_valid = indices >= 0
    rows = jnp.maximum(indices, 0)
    length = jnp.where(is_valid, examples.length[rows], 0)
    return examples.start[rows], length, examples.label[rows], is_valid.astype(jnp.float32)


def one_segment_per_utterance(
    key: jax.Array, indices: np.ndarray, utterance_ids: np.ndarray
) -> np.ndarray:
    """Samples one segment of each utterance.

    Args:
        key: PRNG key.
        indices: `[n]` indices of the segments to sample from.
        utterance_ids: `[segments]` index of the utterance of each segment.

    Returns:
        `[utterances]` sampled indices.
    """
    shuffled = indices[np.asarray(jax.random.permutation(key, len(indices)))]
    _, first = np.unique(utterance_ids[shuffled], return_index=True)
    return shuffled[first]


def epoch_order(key: jax.Array, indices: np.ndarray, batch_size: int) -> np.ndarray:
    """Shuffles examples into batches.

    Args:
        key: PRNG key for shuffling.
        indices: `[n]` indices of the examples.
        batch_size: Number of entries of a batch.

    Returns:
        `[batches, batch_size]` int32, every index once, padded with -1.
    """
    order = indices[np.asarray(jax.random.permutation(key, len(indices)))]
    batches = -(-len(indices) // batch_size)
    padded = np.full(batches * batch_size, -1, np.int32)
    padded[: len(indices)] = order
    return padded.reshape(batches, batch_size)


def evaluation_batches(
    lengths: np.ndarray, indices: np.ndarray, batch_size: int, sizes: Sequence[int]
) -> Iterator[tuple[np.ndarray, int]]:
    """Yields batches of examples of similar length, so that only a few sizes are compiled.

    Args:
        lengths: `[examples]` number of samples of each example.
        indices: `[n]` indices of the examples to evaluate.
        batch_size: Number of entries of a batch.
        sizes: Ascending sizes to which examples are padded, in samples; the last is at least the
            longest length.

    Yields:
        Indices `[batch_size]` int32, padded with -1, and their size.
    """
    buckets = np.searchsorted(np.asarray(sizes), lengths[indices])
    for bucket, size in enumerate(sizes):
        of_size = indices[buckets == bucket].astype(np.int32)
        for first in range(0, len(of_size), batch_size):
            batch = of_size[first : first + batch_size]
            yield np.pad(batch, (0, batch_size - len(batch)), constant_values=-1), size


def length_sizes(longest: int, shortest: int) -> list[int]:
    """Returns ascending sizes, each 1.5 times the previous one, up to `longest`.

    >>> length_sizes(1000, 200)
    [200, 300, 450, 675, 1000]

    Args:
        longest: Last size, in samples.
        shortest: First size, in samples, unless it exceeds `longest`.
    """
    sizes = []
    size = shortest
    while size < longest:
        sizes.append(size)
        size = size * 3 // 2
    return [*sizes, longest]
