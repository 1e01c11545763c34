"""Streaming of a corpus that is too large for the device: each batch is read when it is needed.

The order of the batches is that of a corpus on the device, and a step receives the same waveforms
at the same positions of a batch. Results are therefore the same, and a stopped run resumes at the
same batch.
"""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import flax.linen as nn
import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import PyTree

from serjax.data.batches import Examples, Segments
from serjax.data.storage import streaming
from serjax.features.front_ends import FrontEnd
from serjax.models.variables import Variables
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.evaluate import EvaluationPrograms, input_sizes, utterance_means
from serjax.training.input.dataset import RunDataset
from serjax.training.input.feed import Call, group_batches
from serjax.training.objective.task_loss import PredictionFunction, class_probabilities

_BATCHES_AHEAD = 16  # read before the step needs them

Item = TypeVar("Item")
Placed = TypeVar("Placed")


def _place_ahead(arrays: Iterable[Item], place: Callable[[Item], Placed]) -> Iterator[Placed]:
    """Puts arrays on the device one item before they are needed.

    Args:
        arrays: Arrays of each item, on the host.
        place: Function that puts them on the device.

    Yields:
        Arrays of each item, on the device.
    """
    placed: deque[Placed] = deque()
    for item in arrays:
        placed.append(place(item))
        if len(placed) > 1:
            yield placed.popleft()
    yield from placed


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedFeed:
    """Batches of a streamed dataset; each process reads those of its own devices.

    Attributes:
        dataset: Streamed dataset.
        front_end: Front end of the model.
        sharding: Sharding of a batch, with streamed samples.
        steps: Number of batches of a call.
    """

    dataset: RunDataset
    front_end: FrontEnd
    sharding: BatchSharding
    steps: int = 1

    @functools.cached_property
    def segments(self) -> Segments:
        """Segments of all examples, each within its utterance."""
        return Segments.of(self.dataset.examples)

    def read(self, rows: np.ndarray, size: int) -> streaming.Batch:
        """Reads examples.

        Args:
            rows: Indices of the examples `[batch]`; -1 is an empty entry.
            size: Samples that each example is padded to.
        """
        return streaming.read_batch(self.dataset.waveform, self.segments, rows, size)

    def _read_call(self, indices: np.ndarray) -> tuple[Examples, np.ndarray]:
        """Reads the examples of one call for the devices of this process, their first axis."""
        size = self.dataset.examples.longest
        shards = []
        for shard in self.sharding.shard_indices(indices)[self.sharding.local_devices]:
            # Augmented copies have indices of their own, see `Sampler`.
            copy, row = np.divmod(shard.reshape(-1), len(self.dataset.examples))
            is_valid = copy >= 0
            batch = self.read(np.where(is_valid, row, -1), size)
            examples, rows = streaming.to_examples(batch, self.dataset.labels)
            rows = np.where(is_valid, rows + copy * len(rows), -1).astype(np.int32)
            shards.append((examples, rows.reshape(shard.shape)))
        stacked: tuple[Examples, np.ndarray] = jax.tree.map(lambda *x: np.stack(x), *shards)
        return stacked

    def abstract_call(self, batch_size: int) -> tuple[PyTree, PyTree]:
        """Returns shapes, dtypes and shardings of the examples and indices of a call.

        Args:
            batch_size: Entries of a batch.
        """
        indices = self.sharding.abstract_batch(batch_size, self.steps)
        devices, *_, entries = indices.shape
        rows = entries * self.steps
        size = self.dataset.examples.longest

        def array(dtype: DTypeLike, count: int) -> Any:
            return jax.ShapeDtypeStruct((devices, count), dtype, sharding=indices.sharding)

        samples = array(np.int16, rows * size)
        column = array(np.int32, rows)
        return Examples(samples, column, column, column, column, size), indices

    def feed(self, order: np.ndarray, first: int) -> Iterator[Call]:
        """Yields the calls of an epoch, see `serjax.training.input.feed.Feed`.

        Args:
            order: Order of the epoch, `[batches, batch_size]` indices of examples.
            first: First batch that is not done.
        """
        groups = group_batches(order, first, self.steps)
        ahead = max(_BATCHES_AHEAD // self.steps, 2)
        rows = [indices for _, indices in groups]
        read = streaming.read_ahead(rows, self._read_call, ahead=ahead)
        calls = _place_ahead(read, self.sharding.put_local)
        for (count, _), (examples, indices) in zip(groups, calls, strict=True):
            yield Call(count, examples, indices)


class StreamedEvaluator:
    """Predictions of a model for streamed utterances, equal to those of `Evaluator`.

    Args:
        model: Network from `serjax.models.create`.
        source: Streamed utterances.
        batch_size: Number of segments of a batch.
        predict: Prediction function; probabilities of the classes by default.
    """

    def __init__(
        self,
        model: nn.Module,
        source: StreamedFeed,
        batch_size: int,
        predict: PredictionFunction = class_probabilities,
    ) -> None:
        sharding = source.sharding
        self._source = source
        self._entries = (sharding.device_count, batch_size // sharding.device_count)
        self._programs = EvaluationPrograms(
            model, source.front_end, batch_size, self._entries, predict, sharding
        )

    def compile(self, variables: Variables) -> None:
        """Compiles all programs that evaluation needs.

        Args:
            variables: Variables of the model.
        """
        devices, entries = self._entries
        sharding = self._source.sharding.first_axis_sharding()
        for size in input_sizes(self._source.segments.lengths, self._source.front_end):
            shape = (devices, entries * size)
            samples = jax.ShapeDtypeStruct(shape, np.int16, sharding=sharding)
            self._programs.compile_size(variables, samples, size)

    def __call__(self, variables: Variables, utterances: np.ndarray) -> np.ndarray:
        """Predicts utterances.

        Args:
            variables: Variables of the model.
            utterances: Ascending indices of utterances `[utterances]`.

        Returns:
            `[utterances, n]` float64, rows in the order of `utterances`.
        """
        source = self._source
        self.compile(variables)
        batches = list(self._programs.batches(source.segments, utterances))
        read = streaming.read_ahead(batches, self._read_batch, ahead=_BATCHES_AHEAD)
        arrays = _place_ahead(read, source.sharding.put_local)
        outputs: list[np.ndarray] = []
        running: deque[jax.Array] = deque()
        for (_, size), (samples, start, length) in zip(batches, arrays, strict=True):
            running.append(self._programs.run(variables, samples, start, length, size))
            if len(running) > 2:  # limits the batches on the device
                outputs.append(jax.device_get(running.popleft()))
        outputs += jax.device_get(list(running))
        predictions = [
            (indices, output) for (indices, _), output in zip(batches, outputs, strict=True)
        ]
        return utterance_means(predictions, source.segments, utterances)

    def _read_batch(
        self, batch: tuple[np.ndarray, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads samples, starts and lengths of a batch for the devices of this process."""
        indices, size = batch
        shards = indices.reshape(self._entries)[self._source.sharding.local_devices]
        contents = [self._source.read(shard, size) for shard in shards]
        start = np.arange(shards.shape[1], dtype=np.int32) * np.int32(size)
        return (
            np.stack([content.samples.reshape(-1) for content in contents]),
            np.broadcast_to(start, shards.shape).copy(),
            np.stack([content.length for content in contents]).astype(np.int32),
        )
