"""Class probabilities of whole utterances under the models of several runs at once."""

import itertools
from collections.abc import Sequence

import flax.linen as nn
import jax
import numpy as np

from serjax.data.batches import Examples, Segments
from serjax.features.front_ends import FrontEnd
from serjax.protocols.batched_runs import Together
from serjax.training.evaluate import EvaluationPrograms, utterance_means
from serjax.training.objective import class_probabilities
from serjax.training.state import Variables


class EvaluatorTogether:
    """What `Evaluator` finds, of every run for utterances of its own.

    Args:
        model: Of all runs.
        front_end: What it hears.
        batch_size: Segments of a run at a time.
        together: How the runs are computed.
    """

    def __init__(
        self, model: nn.Module, front_end: FrontEnd, batch_size: int, together: Together
    ) -> None:
        entries = (together.rows, batch_size)
        self._batch_size = batch_size
        self._programs = EvaluationPrograms(
            model, front_end, batch_size, entries, class_probabilities, together
        )
        self.compile = self._programs.compile

    def __call__(
        self, variables: Variables, examples: Examples, utterances: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Predicts utterances of each run.

        Args:
            variables: Of all, with a first axis of runs.
            examples: On the devices.
            utterances: `[n]` indices of a run's utterances, ascending; none for a run that has
                nothing to predict.

        Returns:
            `[n, classes]` float64 for each run, rows in the order of its utterances.
        """
        programs = self._programs
        programs.compile(variables, examples)
        segments = Segments.of(examples)
        # Batches of one size from all runs, filled up where a run has fewer.
        by_size: dict[int, list[list[np.ndarray]]] = {}
        for number, part in enumerate(utterances):
            for indices, size in programs.batches(segments, part):
                runs = by_size.setdefault(size, [[] for _ in utterances])
                runs[number].append(indices)
        rows = programs.entries[0]
        empty = np.full(self._batch_size, -1, np.int32)
        pending = []
        for size, runs in by_size.items():
            for batches in itertools.zip_longest(*runs, fillvalue=empty):
                indices = np.stack([*batches, *[empty] * (rows - len(batches))])
                outputs = programs.launch(variables, examples, segments, indices, size)
                pending.append((indices, outputs))
        found = jax.device_get(pending)
        return [
            utterance_means([(i[number], o[number]) for i, o in found], segments, part)
            for number, part in enumerate(utterances)
        ]
