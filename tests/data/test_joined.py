"""Corpora joined as one corpus."""

import numpy as np
import pytest

from serjax import data
from serjax.data import CorpusError
from tests.helpers.trees import write_tone


@pytest.fixture
def folders(tmp_path):
    write_tone(tmp_path / "tess/OAF_angry/OAF_back_angry.wav", hz=300)
    write_tone(tmp_path / "tess/OAF_angry/OAF_bar_sad.wav", hz=400)
    write_tone(tmp_path / "ravdess/Actor_01/03-01-05-01-01-01-01.wav", hz=500)
    write_tone(tmp_path / "ravdess/Actor_01/03-01-02-01-01-01-01.wav", hz=600)
    return {name: str(tmp_path / name) for name in ("tess", "ravdess")}


def test_only_emotions_are_common(folders):
    corpus = data.load("joined", corpora=folders)
    separate = {name: data.load(name, folder) for name, folder in folders.items()}
    assert len(corpus) == 4
    assert corpus.labels("emotion") == ["anger", "calm", "sadness"]
    assert corpus.column("emotion").count("anger") == 2
    assert corpus.labels("speaker") == ["ravdess/01", "tess/OAF"]
    assert all("/" in str(text) for text in corpus.column("text"))
    for utterance in corpus.utterances:
        name, _, path = utterance.path.partition("/")
        (original,) = (one for one in separate[name].utterances if one.path == path)
        np.testing.assert_array_equal(
            corpus.read(utterance, 16_000), separate[name].read(original, 16_000)
        )


def test_labels_are_the_seven_emotions_of_the_paper(folders):
    # Table 1 of Tiwari et al. has no calm.
    class_of = data.labels.get("tiwari").class_of
    assert sorted(class_of) == [
        *("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpora": {}}, "joined: expected at least 2 corpora, found 0"),
        ({"corpora": {"tes": "x"}}, "unknown corpus to join 'tes': did you mean 'tess'"),
        ({"corpora": {"joined": "x"}}, "unknown corpus to join 'joined'"),
        ({"corpora": {"tess": "nowhere"}}, "TESS: data directory nowhere does not exist"),
        (
            {"corpora": {"tess": 5}},
            "joined: expected corpora with their folders.*found {'tess': 5}",
        ),
        ({}, "joined: expected the option corpora, found none"),
    ],
)
def test_impossible_joins_are_refused(change, message):
    with pytest.raises(CorpusError, match=message):
        data.load("joined", **change)


def test_a_data_directory_is_refused(folders):
    with pytest.raises(CorpusError, match="joined takes no data directory"):
        data.load("joined", "x", corpora=folders)
