"""Label sets: their selected emotions, classes, notes and errors."""

import numpy as np
import pytest
from rich.console import Console

from serjax import data, models, training
from serjax.data import labels
from serjax.data.corpus import EMOTIONS, Corpus, CorpusError, Utterance
from serjax.training.checks import check_config
from serjax.training.input.dataset import prepare_dataset
from tests.helpers.trees import iemocap, touch, write_tone


def corpus_of(name: str, *emotions: str | None) -> Corpus:
    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        return np.zeros(sample_rate, np.float32)

    utterances = (Utterance(f"{i:02d}", emotion=emotion) for i, emotion in enumerate(emotions))
    return Corpus(name, tuple(utterances), read, ("noticed before",))


def test_names():
    assert labels.names() == (
        *("iemocap_exp1", "iemocap_exp2", "iemocap_exp3"),
        *("kapoor", "tiwari"),
    )


@pytest.mark.parametrize("name", labels.names())
def test_emotions_of_label_sets_exist(name: str):
    label_set = labels.get(name)
    assert set(label_set.class_of) <= set(EMOTIONS)
    assert len(set(label_set.class_of.values())) >= 2
    assert label_set.source


def test_selects_renames_and_counts(tmp_path):
    counts = {"ang": 3, "hap": 2, "exc": 4, "neu": 1, "sad": 1, "fru": 5, "xxx": 2}
    corpus = data.load("iemocap", iemocap(tmp_path, {2: counts}))
    merged = labels.apply(corpus, "iemocap_exp3")
    assert merged.labels("emotion") == ["anger", "happiness", "neutral", "sadness"]
    assert merged.column("emotion").count("happiness") == 6
    assert merged.notes == (
        *corpus.notes,
        "labels iemocap_exp3: kept 11 of 18 utterances, dropped 5 frustration, 2 without emotion",
    )
    stress = labels.apply(corpus, "kapoor")
    assert stress.labels("emotion") == ["anger", "neutral", "stress"]
    assert stress.column("emotion").count("stress") == 5
    # The other columns are unchanged.
    assert {u.path: (u.speaker, u.session, u.valence) for u in merged.utterances}.items() <= {
        u.path: (u.speaker, u.session, u.valence) for u in corpus.utterances
    }.items()
    assert merged.folder == corpus.folder


def test_source_states_the_emotion_of_stress():
    assert "frustration here, chosen by us" in labels.get("kapoor").source


def test_other_corpora_with_all_classes(tmp_path):
    touch(tmp_path, *(f"wav/03a01{letter}a.wav" for letter in "WFNTL"))
    corpus = labels.apply(data.load("emodb", tmp_path), "iemocap_exp1")
    assert corpus.labels("emotion") == ["anger", "happiness", "neutral", "sadness"]
    assert corpus.notes[-1].endswith("kept 4 of 5 utterances, dropped 1 boredom")


def test_nothing_dropped():
    corpus = corpus_of("test", "anger", "neutral", "frustration")
    assert labels.apply(corpus, "kapoor").notes == (
        "noticed before",
        "labels kapoor: kept 3 of 3 utterances",
    )


def test_class_without_utterances():
    corpus = corpus_of("test", "anger", "neutral", "sadness", None)
    with pytest.raises(CorpusError) as raised:
        labels.apply(corpus, "iemocap_exp3")
    assert str(raised.value) == (
        "test: label set 'iemocap_exp3' needs utterances of happiness or excitement for its class "
        "'happiness'; the corpus has anger, neutral, sadness"
    )


def test_corpus_without_emotions():
    with pytest.raises(CorpusError, match="for its class 'anger'; the corpus has no emotions"):
        labels.apply(corpus_of("fsdd", None, None), "kapoor")


def test_unknown_set():
    with pytest.raises(CorpusError, match="unknown label set 'kapor': did you mean 'kapoor'"):
        labels.apply(corpus_of("test", "anger"), "kapor")


def test_of_a_run(tmp_path):
    for letter in "WFNTL":
        for take in "abc":
            hz = 100 + 10 * ord(letter) + ord(take)
            write_tone(tmp_path / f"wav/03a01{letter}{take}.wav", 0.5, hz=hz)
    config = training.RunConfig.make(
        dataset="emodb",
        data_dir=str(tmp_path),
        labels="iemocap_exp1",
        split="random",
        fractions=(0.34, 0.33, 0.33),
    )
    check_config(config)
    task = prepare_dataset(config, models.front_end("dscnn"), Console(quiet=True))
    assert task.classes == ["anger", "happiness", "neutral", "sadness"]
    assert np.bincount(task.labels).tolist() == [3, 3, 3, 3]
    assert task.corpus.notes[-1].endswith("kept 12 of 15 utterances, dropped 3 boredom")
