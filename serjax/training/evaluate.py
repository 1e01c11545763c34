"""Class probabilities, or other outputs, of whole utterances, and what they are worth."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from serjax import losses, metrics
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.frontend import FrontEnd
from serjax.training.objective import Outputs, class_probabilities
from serjax.training.parallel import UNDIVIDED, Division, put
from serjax.training.state import Variables
from serjax.training.step import make_evaluation_step

# Models of variable length are compiled for few sizes, the shortest so many frames long.
_SHORTEST_FRAMES = 200


def input_sizes(lengths: np.ndarray, front_end: FrontEnd) -> list[int]:
    """Ascending sizes in samples to which segments of these lengths are padded."""
    if not front_end.variable_length:
        return [front_end.segment_samples]
    return batches.length_sizes(int(lengths.max()), front_end.samples(_SHORTEST_FRAMES))


class Segments(NamedTuple):
    """The examples of a corpus, on the host.

    Attributes:
        starts: `[examples]`, first sample of each.
        lengths: `[examples]`, samples of each.
        owners: `[examples]`, the utterance that each is a stretch of.
    """

    starts: np.ndarray
    lengths: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, examples: Examples) -> "Segments":
        """Those of examples on the device."""
        return cls(*jax.device_get((examples.start, examples.length, examples.utterance)))


class EvaluationPrograms:
    """The programs that give outputs of batches of segments, one for each size.

    Args:
        model: From `serjax.models.create`.
        front_end: What it hears.
        entries: Shape of a batch, its last axis that of segments.
        outputs: What is computed.
        division: Of the batch over devices, on which the examples lie whole; or of runs.
    """

    def __init__(
        self,
        model: nn.Module,
        front_end: FrontEnd,
        entries: tuple[int, ...],
        outputs: Outputs,
        division: Any,
    ) -> None:
        self._front_end = front_end
        self._batch_size = entries[-1]
        self.entries = entries
        self._entry = jax.ShapeDtypeStruct(entries, np.int32, sharding=division.split_sharding())
        self._step = make_evaluation_step(model, front_end, outputs, division)
        self._compiled: dict[tuple[int, int], jax.stages.Compiled] = {}

    def compile(self, variables: Variables, examples: Examples) -> None:
        """Compiles all that evaluating these examples will need."""
        for size in input_sizes(np.asarray(examples.length), self._front_end):
            if (size, examples.samples.size) not in self._compiled:
                lowered = self._step.lower(
                    variables, examples.samples, self._entry, self._entry, size
                )
                self._compiled[size, examples.samples.size] = lowered.compile()

    def batches(
        self, segments: Segments, utterances: np.ndarray
    ) -> Iterator[tuple[np.ndarray, int]]:
        """Batches of the segments of utterances, as `serjax.data.batches.evaluation_batches`."""
        members = np.flatnonzero(np.isin(segments.owners, utterances))
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
        found: jax.Array = self._compiled[size, examples.samples.size](
            variables, examples.samples, start, length
        )
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
    place = np.searchsorted(utterances, segments.owners[indices[real]])
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
        division: Division = UNDIVIDED,
    ) -> None:
        self._programs = EvaluationPrograms(model, front_end, (batch_size,), outputs, division)
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
        "loss": float(losses.cross_entropy(probabilities, labels).mean()),
        "wa": float(metrics.weighted_accuracy(confusion)),
        "ua": float(metrics.unweighted_accuracy(confusion)),
    }
