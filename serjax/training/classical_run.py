"""Fit of a classical model: descriptors of the segments, hyper-parameters by the validation set."""

from collections.abc import Callable

import numpy as np

from serjax import classical
from serjax.training.config import RunConfig
from serjax.training.input.dataset import RunDataset
from serjax.training.trackers.progress import Clock


def fit(
    config: RunConfig, dataset: RunDataset, clock: Clock
) -> tuple[classical.Classifier, Callable[[np.ndarray], np.ndarray]]:
    """Fits the configured classical model on the training set.

    Utterances longer than a segment are cut into segments, as they are for networks. Every segment
    of the training set is an example, and the probabilities of an utterance are the mean of those
    of its segments.

    Args:
        config: Configuration, its model one of `serjax.classical.names()`.
        dataset: Dataset of the run.
        clock: Clock of the run.

    Returns:
        Classifier, and a function from ascending indices of utterances `[n]` to probabilities
        `[n, classes]`.

    Raises:
        InputError: The model has no option of this name.
    """
    with clock.timed("describe"):
        x = classical.describe(dataset.examples)
    utterance_ids = np.asarray(dataset.examples.utterance)

    def predict(model: Callable[[np.ndarray], np.ndarray], utterances: np.ndarray) -> np.ndarray:
        segments = np.flatnonzero(np.isin(utterance_ids, utterances))
        row = np.searchsorted(utterances, utterance_ids[segments])
        totals = np.zeros((len(utterances), len(dataset.classes)))
        np.add.at(totals, row, model(x[segments]))
        return totals / np.bincount(row)[:, None]

    is_training = np.isin(utterance_ids, dataset.split.train)
    with clock.timed("train"):
        classifier = classical.choose(
            config.model.name,
            x[is_training],
            np.asarray(dataset.examples.label)[is_training],
            lambda model: predict(model, dataset.split.validation),
            dataset.labels[dataset.split.validation],
            len(dataset.classes),
            **config.model.options,
        )
    return classifier, lambda utterances: predict(classifier.probabilities, utterances)
