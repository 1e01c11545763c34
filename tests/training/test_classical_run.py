"""Fit of a classical model to the dataset of a run."""

import dataclasses

import numpy as np
import pytest
from rich.console import Console

from serjax import classical
from serjax.errors import InputError
from serjax.training import RunConfig, classical_run, prepare_dataset
from serjax.training.trackers.progress import Clock

CONFIG = RunConfig.make(model="lda", dataset_options={"speakers": 5, "words": 2})


@pytest.fixture(scope="module")
def dataset():
    """Dataset whose longer utterances have several segments."""
    front_end = dataclasses.replace(classical.FRONT_END, segment_seconds=0.5)
    return prepare_dataset(CONFIG, front_end, Console(quiet=True))


@pytest.fixture(scope="module")
def fitted(dataset):
    clock = Clock()
    return *classical_run.fit(CONFIG, dataset, clock), clock


def test_an_utterance_has_the_mean_probabilities_of_its_segments(dataset, fitted):
    classifier, predict, _ = fitted
    utterances = dataset.split.test
    probabilities = predict(utterances)
    assert probabilities.shape == (len(utterances), len(dataset.classes))
    segments = classifier.probabilities(classical.describe(dataset.examples))
    ids = np.asarray(dataset.examples.utterance)
    assert np.bincount(ids).max() > 1
    expected = np.stack([segments[ids == utterance].mean(0) for utterance in utterances])
    np.testing.assert_allclose(probabilities, expected, atol=1e-12)


def test_only_segments_of_the_training_set_are_fitted(dataset, fitted):
    classifier, _, _ = fitted
    ids = np.asarray(dataset.examples.utterance)
    is_training = np.isin(ids, dataset.split.train)
    x = classical.describe(dataset.examples)
    reference = classical.choose(
        "lda",
        x[is_training],
        np.asarray(dataset.examples.label)[is_training],
        lambda model: np.stack(
            [model(x[ids == utterance]).mean(0) for utterance in dataset.split.validation]
        ),
        dataset.labels[dataset.split.validation],
        len(dataset.classes),
    )
    assert classifier.hyperparameters == reference.hyperparameters
    np.testing.assert_allclose(classifier.probabilities(x), reference.probabilities(x))


def test_stages_are_timed(fitted):
    assert set(fitted[2].read()) == {"describe", "train", "total"}


def test_unknown_hyperparameters_are_refused(dataset):
    with pytest.raises(InputError, match="neighbours"):
        classical_run.fit(CONFIG.replace(model_options={"neighbours": 3}), dataset, Clock())
