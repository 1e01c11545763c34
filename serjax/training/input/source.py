"""Where a run's batches come from: its examples lie on the device, or are streamed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

from serjax.features.front_ends import FrontEnd
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.evaluate import Evaluator, evaluation_batch
from serjax.training.input.dataset import RunDataset
from serjax.training.input.feed import Calls, resident
from serjax.training.input.streaming import Streamed, StreamedEvaluator
from serjax.training.state import Variables


class Source(NamedTuple):
    """A run's examples, for training and evaluation.

    Attributes:
        arguments: Examples and indices of a call, or their shapes, to compile the step for.
        calls: What the step is called with.
        compile: Compiles all that evaluating under such variables needs.
        evaluate: Variables, indices of utterances `[n]` -> probabilities `[n, classes]`.
    """

    arguments: tuple[Any, Any]
    calls: Calls
    compile: Callable[[Variables], None]
    evaluate: Callable[[Variables, np.ndarray], np.ndarray]


def source_of(
    task: RunDataset,
    model: nn.Module,
    front_end: FrontEnd,
    batch_size: int,
    steps: int,
    division: BatchSharding,
) -> Source:
    """The source of a task's examples.

    Args:
        task: What is recognized.
        model: From `serjax.models.create`.
        front_end: What it hears.
        batch_size: Examples of a batch.
        steps: Batches that a call takes.
        division: Of a batch; streamed if the task's waveforms are unread.
    """
    if task.lazy_waveforms is not None:
        streamed = Streamed(task, front_end, division, steps)
        reader = StreamedEvaluator(model, streamed, evaluation_batch(batch_size))
        arguments = streamed.abstract_call(batch_size)
        return Source(arguments, streamed.calls, reader.compile, reader)
    examples = division.replicate(task.examples)
    evaluator = Evaluator(model, front_end, evaluation_batch(batch_size), division=division)
    return Source(
        (examples, division.abstract_batch(batch_size, steps)),
        resident(examples, division.split, steps),
        lambda variables: evaluator.compile(variables, examples),
        lambda variables, utterances: evaluator(variables, examples, utterances),
    )
