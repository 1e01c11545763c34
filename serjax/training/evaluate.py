"""Predictions for whole utterances, such as class probabilities, and their scores."""

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from serjax import losses, metrics
from serjax.data import batches
from serjax.data.batches import Array, Examples, Segments
from serjax.features.front_ends import FrontEnd
from serjax.models.variables import Variables
from serjax.training.devices.batch_sharding import SINGLE_DEVICE, BatchSharding, put
from serjax.training.objective.task_loss import PredictionFunction, class_probabilities
from serjax.training.step import make_evaluation_step

# Models of variable length are compiled for a few sizes, the shortest of this number of frames.
_SHORTEST_FRAMES = 200


def input_sizes(lengths: np.ndarray, front_end: FrontEnd) -> list[int]:
    """Returns the ascending sizes, in samples, that segments of these lengths are padded to."""
    if not front_end.takes_any_length:
        return [front_end.segment_samples]
    return batches.length_sizes(int(lengths.max()), front_end.samples_of_frames(_SHORTEST_FRAMES))


def evaluation_batch(batch_size: int) -> int:
    """Returns the batch size of evaluation for that of training.

    Without a backward pass a network needs less memory, and small batches leave devices waiting:
    up to four training batches, of 32 segments in all.
    """
    return batch_size * max(1, min(4, 32 // batch_size))


class EvaluationPrograms:
    """Compiled programs that predict batches of segments, one for each size of a segment.

    Args:
        model: Network from `serjax.models.create`.
        front_end: Front end of the model.
        batch_size: Number of segments of a batch.
        entries: Shape of the arrays that describe the segments of a batch.
        predict: Prediction function.
        sharding: Sharding of a batch over devices, or of several runs.
    """

    def __init__(
        self,
        model: nn.Module,
        front_end: FrontEnd,
        batch_size: int,
        entries: tuple[int, ...],
        predict: PredictionFunction,
        sharding: Any,
    ) -> None:
        self._front_end = front_end
        self._batch_size = batch_size
        self.entries = entries
        self._entry = jax.ShapeDtypeStruct(
            entries, np.int32, sharding=sharding.first_axis_sharding()
        )
        self._step = make_evaluation_step(model, front_end, predict, sharding)
        self._compiled: dict[tuple[int, int], jax.stages.Compiled] = {}

    def compile(self, variables: Variables, examples: Examples) -> None:
        """Compiles all programs that evaluating these examples, on the device, needs."""
        for size in input_sizes(np.asarray(examples.length), self._front_end):
            self.compile_size(variables, examples.samples, size)

    def compile_size(
        self, variables: Variables, samples: Array | jax.ShapeDtypeStruct, size: int
    ) -> None:
        """Compiles the program for segments of one size in samples of this shape."""
        if (size, samples.size) not in self._compiled:
            lowered = self._step.lower(variables, samples, self._entry, self._entry, size)
            self._compiled[size, samples.size] = lowered.compile()

    def batches(
        self, segments: Segments, utterances: np.ndarray
    ) -> Iterator[tuple[np.ndarray, int]]:
        """Yields batches of the segments of utterances: indices, -1 for padding, and a size.

        See `serjax.data.batches.evaluation_batches`.
        """
        members = np.flatnonzero(np.isin(segments.utterance_ids, utterances))
        # Sizes follow from all examples, so that the splits of a corpus share compiled programs.
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
        """Predicts the segments at `indices`, in the shape of a batch and -1 for padding."""
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
        """Predicts the segments at these places among samples, all on the device."""
        program = self._compiled[size, samples.size]
        predictions: jax.Array = program(variables, samples, start, length)
        return predictions


def utterance_means(
    predictions: list[tuple[np.ndarray, np.ndarray]], segments: Segments, utterances: np.ndarray
) -> np.ndarray:
    """Averages the predictions of the segments of each utterance.

    Args:
        predictions: Batches of indices `[batch]`, -1 for padding, and predictions `[batch, n]`.
        segments: Segments that the indices count.
        utterances: `[utterances]` ascending indices of utterances, all of whose segments are
            predicted.

    Returns:
        `[utterances, n]` float64.
    """
    indices, values = (np.concatenate(arrays) for arrays in zip(*predictions, strict=True))
    is_segment = indices >= 0
    row = np.searchsorted(utterances, segments.utterance_ids[indices[is_segment]])
    totals = np.zeros((len(utterances), values.shape[-1]))
    np.add.at(totals, row, values[is_segment])
    return totals / np.bincount(row, minlength=len(utterances))[:, None]


class Evaluator:
    """Predictions of a model for utterances, each the mean over the utterance's segments.

    Args:
        model: Network from `serjax.models.create`.
        front_end: Front end of the model.
        batch_size: Number of segments of a batch.
        predict: Prediction function; probabilities of the classes by default.
        sharding: Sharding of the segments over devices, each of which holds all variables and
            examples.
    """

    def __init__(
        self,
        model: nn.Module,
        front_end: FrontEnd,
        batch_size: int,
        predict: PredictionFunction = class_probabilities,
        sharding: BatchSharding = SINGLE_DEVICE,
    ) -> None:
        self._programs = EvaluationPrograms(
            model, front_end, batch_size, (batch_size,), predict, sharding
        )
        self.compile = self._programs.compile

    def __call__(
        self, variables: Variables, examples: Examples, utterances: np.ndarray
    ) -> np.ndarray:
        """Predicts utterances.

        Args:
            variables: Variables of the model.
            examples: Examples on the device.
            utterances: `[utterances]` ascending indices of utterances.

        Returns:
            `[utterances, n]` float64, rows in the order of `utterances`.
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
    """Computes the mean "loss", "wa" and "ua" of predicted utterances.

    Args:
        probabilities: `[utterances, classes]` probabilities.
        labels: `[utterances]` integer, true classes.
    """
    counts = metrics.confusion_matrix(labels, probabilities.argmax(-1), probabilities.shape[-1])
    confusion = np.asarray(counts, np.float64)
    return {
        "loss": float(losses.negative_log_likelihood(probabilities, labels).mean()),
        "wa": float(metrics.weighted_accuracy(confusion)),
        "ua": float(metrics.unweighted_accuracy(confusion)),
    }
