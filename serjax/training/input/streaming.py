"""A run on a corpus that is too large for the device: every batch is read when its turn comes.

The order of the batches is that of a corpus that lies on the device, and a step takes the same
waveforms in the same places of a batch, so the numbers are the same, and a stopped run resumes at
the same batch.
"""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from serjax.data.batches import Examples, Segments
from serjax.data.storage import streaming
from serjax.features.front_ends import FrontEnd
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.evaluate import EvaluationPrograms, input_sizes, utterance_means
from serjax.training.input.dataset import RunDataset
from serjax.training.input.feed import Call, group_batches
from serjax.training.objective import class_probabilities
from serjax.training.state import Variables
from serjax.training.step import cut_samples

_THREADS = 8
_AHEAD = 16
"""Batches that are read ahead of the step."""


def _read_ahead(
    items: Sequence[Any], read: Callable[[Any], Any], place: Callable[[Any], Any], ahead: int
) -> Iterator[Any]:
    """What `read` makes of each item, on the device one item before it is asked for."""
    import grain

    options = grain.ReadOptions(num_threads=min(_THREADS, ahead), prefetch_buffer_size=ahead)
    dataset = grain.MapDataset.source(items).map(read).to_iter_dataset(options)
    placed: deque[Any] = deque()
    for found in dataset:
        placed.append(place(found))
        if len(placed) > 1:
            yield placed.popleft()
    yield from placed


@dataclasses.dataclass(frozen=True, eq=False)
class Streamed:
    """Reads batches of a task's examples; every process those of its own devices.

    Attributes:
        task: Its waveforms are unread.
        front_end: What the model hears.
        division: Of a batch, its samples streamed.
        steps: Batches that a call takes.
    """

    task: RunDataset
    front_end: FrontEnd
    division: BatchSharding
    steps: int = 1

    @functools.cached_property
    def segments(self) -> Segments:
        """All examples, each in its utterance."""
        return Segments.of(self.task.examples)

    def read(self, rows: np.ndarray, size: int) -> streaming.Batch:
        """Reads examples, `[batch]` and -1 where empty, padded to a size."""
        assert self.task.lazy_waveforms is not None
        return streaming.read_batch(self.task.lazy_waveforms.waveform, self.segments, rows, size)

    def _call(self, indices: np.ndarray) -> tuple[Examples, np.ndarray]:
        """What the devices of this process need for one call, with a first axis of devices."""
        size = int(self.segments.lengths.max())
        parts = self.division.parts(indices)[self.division.own]
        found = []
        for part in parts:
            batch = self.read(part.reshape(-1), size)
            examples, rows = streaming.to_examples(
                batch, self.task.labels, cut_samples(self.front_end)
            )
            found.append((examples, rows.reshape(part.shape)))
        stacked: tuple[Examples, np.ndarray] = jax.tree.map(lambda *x: np.stack(x), *found)
        return stacked

    def abstract_call(self, batch_size: int) -> tuple[Any, Any]:
        """Shapes, dtypes and places of a call's examples and indices."""
        indices = self.division.abstract_batch(batch_size, self.steps)
        devices, *_, entries = indices.shape
        rows = entries * self.steps
        size = int(self.segments.lengths.max())

        def each(dtype: Any, count: int) -> Any:
            return jax.ShapeDtypeStruct((devices, count), dtype, sharding=indices.sharding)

        samples = each(np.int16, rows * size + cut_samples(self.front_end))
        return Examples(samples, *[each(np.int32, rows)] * 4), indices

    def calls(self, order: np.ndarray, first: int) -> Iterator[Call]:
        """The calls of an epoch, as `serjax.training.input.feed.Calls`."""
        cut = group_batches(order, first, self.steps)
        ahead = max(_AHEAD // self.steps, 2)
        read = _read_ahead([b for _, b in cut], self._call, self.division.split_own, ahead)
        for (count, _), (examples, indices) in zip(cut, read, strict=True):
            yield Call(count, examples, indices)


class StreamedEvaluator:
    """Probabilities of utterances that are read when their turn comes, as of `Evaluator`.

    Args:
        model: From `serjax.models.create`.
        source: Of the utterances.
        batch_size: Segments at a time.
    """

    def __init__(self, model: nn.Module, source: Streamed, batch_size: int) -> None:
        division = source.division
        self._source = source
        self._entries = (division.device_count, batch_size // division.device_count)
        self._programs = EvaluationPrograms(
            model, source.front_end, batch_size, self._entries, class_probabilities, division
        )

    def compile(self, variables: Variables) -> None:
        """Compiles all that evaluating will need."""
        devices, entries = self._entries
        sharding = self._source.division.split_sharding()
        for size in input_sizes(self._source.segments.lengths, self._source.front_end):
            shape = (devices, entries * size)
            samples = jax.ShapeDtypeStruct(shape, np.int16, sharding=sharding)
            self._programs.compile_size(variables, samples, size)

    def __call__(self, variables: Variables, utterances: np.ndarray) -> np.ndarray:
        """Predicts utterances.

        Args:
            variables: Of the model.
            utterances: `[n]` indices of the utterances, ascending.

        Returns:
            `[n, classes]` float64, rows in the order of `utterances`.
        """
        source = self._source
        self.compile(variables)
        cut = list(self._programs.batches(source.segments, utterances))
        read = _read_ahead(cut, self._batch, source.division.split_own, _AHEAD)
        found: list[np.ndarray] = []
        running: deque[jax.Array] = deque()
        for (_, size), (samples, start, length) in zip(cut, read, strict=True):
            running.append(self._programs.run(variables, samples, start, length, size))
            if len(running) > 2:  # no more batches should lie on the device
                found.append(jax.device_get(running.popleft()))
        found += jax.device_get(list(running))
        indices = [indices for indices, _ in cut]
        return utterance_means(list(zip(indices, found, strict=True)), source.segments, utterances)

    def _batch(self, cut: tuple[np.ndarray, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Samples, starts and lengths of a batch's segments on the devices of this process."""
        indices, size = cut
        parts = indices.reshape(self._entries)[self._source.division.own]
        read = [self._source.read(part, size) for part in parts]
        start = np.arange(parts.shape[1], dtype=np.int32) * np.int32(size)
        return (
            np.stack([batch.samples.reshape(-1) for batch in read]),
            np.broadcast_to(start, parts.shape).copy(),
            np.stack([batch.length for batch in read]).astype(np.int32),
        )
