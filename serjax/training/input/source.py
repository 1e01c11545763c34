"""Source of a run's batches: examples that lie on the device, or are streamed."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import numpy as np
from jaxtyping import PyTree

from serjax.features.front_ends import FrontEnd
from serjax.models.variables import Variables
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.evaluate import Evaluator, evaluation_batch
from serjax.training.input.dataset import RunDataset
from serjax.training.input.feed import Feed, in_memory
from serjax.training.input.streaming import StreamedEvaluator, StreamedFeed
from serjax.training.objective.task_loss import PredictionFunction, class_probabilities


class Source(NamedTuple):
    """Examples of a run, for training and evaluation.

    Attributes:
        arguments: Examples and indices of a call, or their shapes, to compile the step for.
        feed: Feed of the training step.
        compile: Function of variables that compiles all programs of `evaluate`.
        evaluate: Function from variables and ascending indices of utterances `[utterances]` to
            predictions `[utterances, n]`.
    """

    arguments: tuple[PyTree, PyTree]
    feed: Feed
    compile: Callable[[Variables], None]
    evaluate: Callable[[Variables, np.ndarray], np.ndarray]


def source_of(
    dataset: RunDataset,
    model: nn.Module,
    front_end: FrontEnd,
    batch_size: int,
    scan_steps: int,
    sharding: BatchSharding,
    predict: PredictionFunction = class_probabilities,
) -> Source:
    """Makes the source of a dataset's examples.

    Args:
        dataset: Dataset of the run.
        model: Network from `serjax.models.create`.
        front_end: Front end of the model.
        batch_size: Number of entries of a batch.
        scan_steps: Number of batches of a call.
        sharding: Sharding of a batch, streamed if the dataset is.
        predict: Prediction function; probabilities of the classes by default.
    """
    if dataset.lazy_waveforms is not None:
        streamed = StreamedFeed(dataset, front_end, sharding, scan_steps)
        reader = StreamedEvaluator(model, streamed, evaluation_batch(batch_size), predict)
        arguments = streamed.abstract_call(batch_size)
        return Source(arguments, streamed.feed, reader.compile, reader)
    examples = sharding.replicate(dataset.examples)
    evaluator = Evaluator(model, front_end, evaluation_batch(batch_size), predict, sharding)
    return Source(
        (examples, sharding.abstract_batch(batch_size, scan_steps)),
        in_memory(examples, sharding.put_indices, scan_steps),
        lambda variables: evaluator.compile(variables, examples),
        lambda variables, utterances: evaluator(variables, examples, utterances),
    )
