"""Dataset of a run: classes, labels, split and examples of a corpus."""

import dataclasses

import numpy as np
import pytest
from rich.console import Console

from serjax import data
from serjax.data.batches import amplified
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import RunConfig, prepare_dataset, read_recordings

SILENT = Console(quiet=True)
FRONT_END = front_ends.GUIZZO_REAL
CONFIG = RunConfig.make(dataset_options={"speakers": 5, "words": 2}, seed=2)


@pytest.fixture(scope="module")
def recordings():
    return read_recordings(CONFIG, FRONT_END, SILENT)


@pytest.fixture(scope="module")
def dataset(recordings):
    return prepare_dataset(CONFIG, FRONT_END, SILENT, recordings)


def test_labels_are_the_classes_of_the_utterances(dataset):
    corpus = data.load("synthetic", speakers=5, words=2)
    assert dataset.classes == corpus.labels("emotion")
    names = [dataset.classes[label] for label in dataset.labels]
    assert names == [utterance.emotion for utterance in dataset.corpus.utterances]
    np.testing.assert_array_equal(
        dataset.examples.label, dataset.labels[dataset.examples.utterance]
    )


def test_the_split_is_by_speakers(dataset):
    split = dataset.split
    speakers = [
        {dataset.corpus.utterances[i].speaker for i in indices}
        for indices in (split.train, split.validation, split.test)
    ]
    assert not any(a & b for a, b in zip(speakers, [*speakers[1:], speakers[0]], strict=True))


def test_waveforms_are_those_of_the_recordings(dataset, recordings):
    assert dataset.sample_rate == FRONT_END.sample_rate
    for utterance in (0, 3, len(dataset.corpus) - 1):
        waveform = dataset.waveform(utterance)
        assert waveform.dtype == np.int16
        np.testing.assert_array_equal(waveform, amplified(recordings.waveforms[utterance])[0])


def test_long_utterances_have_several_segments(recordings):
    short = dataclasses.replace(FRONT_END, segment_seconds=0.5)
    dataset = prepare_dataset(CONFIG, short, SILENT, recordings)
    size = short.segment_samples
    counts = np.bincount(dataset.examples.utterance)
    expected = [-(-len(waveform) // size) for waveform in recordings.waveforms]
    assert counts.tolist() == expected
    assert max(expected) > 1
    last = len(dataset.corpus) - 1
    np.testing.assert_array_equal(dataset.waveform(last), amplified(recordings.waveforms[last])[0])


def test_a_corpus_of_the_user(recordings):
    corpus = recordings.corpora[0]
    corpus = dataclasses.replace(corpus, name="mine")
    dataset = prepare_dataset(
        RunConfig.make(dataset="nowhere"), FRONT_END, SILENT, corpora=(corpus,)
    )
    assert dataset.corpus.name == "mine"
    assert len(dataset.corpus) == len(corpus)


def test_one_class_is_refused(recordings):
    corpus = recordings.corpora[0]
    angry = [i for i, emotion in enumerate(corpus.column("emotion")) if emotion == "anger"]
    with pytest.raises(InputError, match=r"expected at least 2 classes of emotion: \['anger'\]"):
        prepare_dataset(
            CONFIG.replace(split="random"), FRONT_END, SILENT, corpora=(corpus.select(angry),)
        )


def test_methods_that_need_the_corpus_in_memory_refuse_streams(dataset):
    dataset.check_resident("--batching")
    streamed = dataclasses.replace(dataset, lazy_waveforms=object())
    with pytest.raises(InputError, match="stream: expected --no-stream with --batching, which ne"):
        streamed.check_resident("--batching")
