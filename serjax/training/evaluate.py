"""Class probabilities, or other outputs, of whole utterances, and what they are worth."""

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
        self._front_end = front_end
        self._batch_size = batch_size
        self._entries = division.split_sharding()
        self._step = make_evaluation_step(model, front_end, outputs, division)
        self._compiled: dict[tuple[int, int], jax.stages.Compiled] = {}

    def compile(self, variables: Variables, examples: Examples) -> None:
        """Compiles all that evaluating these examples will need."""
        for size in input_sizes(np.asarray(examples.length), self._front_end):
            if (size, examples.samples.size) not in self._compiled:
                entry = jax.ShapeDtypeStruct((self._batch_size,), np.int32, sharding=self._entries)
                lowered = self._step.lower(variables, examples.samples, entry, entry, size)
                self._compiled[size, examples.samples.size] = lowered.compile()

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
        self.compile(variables, examples)
        starts, lengths, owners = jax.device_get(
            (examples.start, examples.length, examples.utterance)
        )
        members = np.flatnonzero(np.isin(owners, utterances))
        # Sizes follow from all examples, so that parts of a corpus share the compiled programs.
        sizes = input_sizes(lengths, self._front_end)
        pending = []
        for indices, size in batches.evaluation_batches(lengths, members, self._batch_size, sizes):
            start, length = (
                np.where(indices >= 0, table[indices], 0) for table in (starts, lengths)
            )
            program = self._compiled[size, examples.samples.size]
            start, length = put((start, length), self._entries)
            pending.append((indices, program(variables, examples.samples, start, length)))
        rows = np.zeros((len(owners), pending[0][1].shape[-1]))
        for indices, outputs in pending:
            real = indices >= 0
            rows[indices[real]] = jax.device_get(outputs)[real]
        place = np.searchsorted(utterances, owners[members])
        totals = np.zeros((len(utterances), rows.shape[-1]))
        np.add.at(totals, place, rows[members])
        return totals / np.bincount(place, minlength=len(utterances))[:, None]


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
