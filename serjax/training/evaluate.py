"""Class probabilities, or other outputs, of whole utterances, and what they are worth."""

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from serjax import losses, metrics
from serjax.data import batches
from serjax.data.batches import Array, Examples, Segments
from serjax.features.front_ends import FrontEnd
from serjax.training.devices.batch_sharding import SINGLE_DEVICE, BatchSharding, put
from serjax.training.objective import Outputs, class_probabilities
from serjax.training.state import Variables
from serjax.training.step import make_evaluation_step

# Models of variable length are compiled for few sizes, the shortest so many frames long.
_SHORTEST_FRAMES = 200


def input_sizes(lengths: np.ndarray, front_end: FrontEnd) -> list[int]:
    """Ascending sizes in samples to which segments of these lengths are padded."""
    if not front_end.variable_length:
        return [front_end.segment_samples]
    return batches.length_sizes(int(lengths.max()), front_end.samples_of_frames(_SHORTEST_FRAMES))


def evaluation_batch(batch_size: int) -> int:
    """Segments to evaluate at a time where so many are trained on.

    Without a backward pass a network needs less memory, and small batches leave devices waiting:
    up to four training batches, of 32 segments in all.
    """
    return batch_size * max(1, min(4, 32 // batch_size))


class EvaluationPrograms:
    """The programs that give outputs of batches of segments, one for each size.

    Args:
        model: From `serjax.models.create`.
        front_end: What it hears.
        batch_size: Segments of a batch.
        entries: Shape of what tells of a batch's segments.
        outputs: What is computed.
        division: Of the batch over devices; or of runs.
    """

    def __init__(
        self,
        model: nn.Module,
        front_end: FrontEnd,
        batch_size: int,
        entries: tuple[int, ...],
        outputs: Outputs,
        division: Any,
    ) -> None:
        self._front_end = front_end
        self._batch_size = batch_size
        self.entries = entries
        self._entry = jax.ShapeDtypeStruct(entries, np.int32, sharding=division.split_sharding())
        self._step = make_evaluation_step(model, front_end, outputs, division)
        self._compiled: dict[tuple[int, int], jax.stages.Compiled] = {}

    def compile(self, variables: Variables, examples: Examples) -> None:
        """Compiles all that evaluating these examples, on the device, will need."""
        for size in input_sizes(np.asarray(examples.length), self._front_end):
            self.compile_size(variables, examples.samples, size)

    def compile_size(
        self, variables: Variables, samples: Array | jax.ShapeDtypeStruct, size: int
    ) -> None:
        """Compiles what segments of this size, among so many samples, need."""
        if (size, samples.size) not in self._compiled:
            lowered = self._step.lower(variables, samples, self._entry, self._entry, size)
            self._compiled[size, samples.size] = lowered.compile()

    def batches(
        self, segments: Segments, utterances: np.ndarray
    ) -> Iterator[tuple[np.ndarray, int]]:
        """Batches of the segments of utterances, as `serjax.data.batches.evaluation_batches`."""
        members = np.flatnonzero(np.isin(segments.utterance_ids, utterances))
        # Sizes follow from all examples, so that parts of a corpus share the compiled programs.
        sizes = input_sizes(segments.lengths, self._front_end)
        return batches.evaluation_batches(segments.lengths, members, self._batch_size, sizes)

    def launch(
        self,
        variables: Variables,
        examples: Examples,
        segments: Segments,
        indices: np.ndarray,
        size: int,
    ) -> jax.Array:
        """Outputs of the segments at `indices`, in the shape of a batch and -1 where empty."""
        start, length = (
            np.where(indices >= 0, table[indices], 0)
            for table in (segments.starts, segments.lengths)
        )
        start, length = put((start, length), self._entry.sharding)
        return self.run(variables, examples.samples, start, length, size)

    def run(
        self,
        variables: Variables,
        samples: Array,
        start: jax.Array,
        length: jax.Array,
        size: int,
    ) -> jax.Array:
        """Outputs of the segments at these places among samples, all on the device."""
        found: jax.Array = self._compiled[size, samples.size](variables, samples, start, length)
        return found


def utterance_means(
    found: list[tuple[np.ndarray, np.ndarray]], segments: Segments, utterances: np.ndarray
) -> np.ndarray:
    """Means of the outputs of utterances' segments.

    Args:
        found: Batches of indices `[batch]`, -1 where empty, and their outputs `[batch, outputs]`.
        segments: That are indexed.
        utterances: `[n]` indices of the utterances, ascending, all of whose segments were found.

    Returns:
        `[n, outputs]` float64.
    """
    indices, outputs = (np.concatenate(parts) for parts in zip(*found, strict=True))
    real = indices >= 0
    place = np.searchsorted(utterances, segments.utterance_ids[indices[real]])
    totals = np.zeros((len(utterances), outputs.shape[-1]))
    np.add.at(totals, place, outputs[real])
    return totals / np.bincount(place, minlength=len(utterances))[:, None]


class Evaluator:
    """Outputs of utterances under a model, their classes' probabilities unless others are named.

    An utterance's are the mean over its segments.

    Args:
        model: From `serjax.models.create`.
        front_end: What it hears.
        batch_size: Segments at a time.
        outputs: What is averaged.
        division: Of the segments over devices, on which variables and examples lie whole.
    """

    def __init__(
        self,
        model: nn.Module,
        front_end: FrontEnd,
        batch_size: int,
        outputs: Outputs = class_probabilities,
        division: BatchSharding = SINGLE_DEVICE,
    ) -> None:
        self._programs = EvaluationPrograms(
            model, front_end, batch_size, (batch_size,), outputs, division
        )
        self.compile = self._programs.compile

    def __call__(
        self, variables: Variables, examples: Examples, utterances: np.ndarray
    ) -> np.ndarray:
        """Predicts utterances.

        Args:
            variables: Of the model.
            examples: On the device.
            utterances: `[n]` indices of the utterances, ascending.

        Returns:
            `[n, outputs]` float64, rows in the order of `utterances`.
        """
        programs = self._programs
        programs.compile(variables, examples)
        segments = Segments.of(examples)
        pending = [
            (indices, programs.launch(variables, examples, segments, indices, size))
            for indices, size in programs.batches(segments, utterances)
        ]
        return utterance_means(jax.device_get(pending), segments, utterances)


def scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Mean "loss", "wa" and "ua" of utterance probabilities `[utterances, classes]`."""
    classes = probabilities.shape[-1]
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (labels, probabilities.argmax(-1)), 1)
    return {
        "loss": float(losses.negative_log_likelihood(probabilities, labels).mean()),
        "wa": float(metrics.weighted_accuracy(confusion)),
        "ua": float(metrics.unweighted_accuracy(confusion)),
    }
