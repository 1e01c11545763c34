"""A run of a classical model: descriptors once, hyper-parameters by the validation part."""

from collections.abc import Callable

import numpy as np

from serjax import classical
from serjax.training.config import RunConfig
from serjax.training.input.dataset import RunDataset
from serjax.training.trackers.progress import Clock


def fit(
    config: RunConfig, task: RunDataset, clock: Clock
) -> tuple[classical.Classifier, Callable[[np.ndarray], np.ndarray]]:
    """Fits the configured classical model on the training part.

    Utterances longer than a segment are cut as for networks: every segment trains, and the
    probabilities of an utterance are the mean of its segments'.

    Args:
        config: Its model is one of `serjax.classical.names()`.
        task: What it recognizes.
        clock: Of the run.

    Returns:
        The classifier, and what gives the probabilities `[n, classes]` of utterances `[n]`.

    Raises:
        InputError: The model has no such option.
    """
    with clock.timed("describe"):
        x = classical.describe(task.examples)
    owners = np.asarray(task.examples.utterance)

    def mean(model: Callable[[np.ndarray], np.ndarray], utterances: np.ndarray) -> np.ndarray:
        members = np.flatnonzero(np.isin(owners, utterances))
        place = np.searchsorted(utterances, owners[members])
        totals = np.zeros((len(utterances), len(task.classes)))
        np.add.at(totals, place, model(x[members]))
        return totals / np.bincount(place)[:, None]

    trained = np.isin(owners, task.split.train)
    with clock.timed("train"):
        classifier = classical.choose(
            config.model.name,
            x[trained],
            np.asarray(task.examples.label)[trained],
            lambda model: mean(model, task.split.validation),
            task.labels[task.split.validation],
            len(task.classes),
            **config.model.options,
        )
    return classifier, lambda utterances: mean(classifier.probabilities, utterances)
