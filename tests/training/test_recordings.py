"""Recordings of a run: corpora by name or of a user, short and missing ones, and splits."""

import dataclasses

import numpy as np
import pytest
from rich.console import Console

from serjax import data
from serjax.data.corpus import Corpus, Utterance
from serjax.data.splits import content_id
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import RunConfig, check_split, read_recordings
from serjax.training.input.recordings import read_tables, select_waveforms, split_corpora

SILENT = Console(quiet=True)
FRONT_END = front_ends.GUIZZO_REAL
CONFIG = RunConfig.make(dataset_options={"speakers": 5, "words": 2})


def made(name="mine", speakers=6, emotions=("anger", "neutral"), samples=8000, takes=2):
    """Makes a corpus of noise, whose recordings are counted."""

    def read(utterance, sample_rate):
        corpus_reads.append(utterance.path)
        seed = int(utterance.path.rpartition("-")[2])
        rng = np.random.default_rng(seed)
        return rng.uniform(-0.5, 0.5, samples).astype(np.float32)

    corpus_reads: list[str] = []
    labels = [(e, f"s{s}") for s in range(speakers) for e in emotions for _ in range(takes)]
    utterances = tuple(
        Utterance(f"{name}-{i:02d}", emotion=emotion, speaker=f"{name}-{speaker}")
        for i, (emotion, speaker) in enumerate(labels)
    )
    return Corpus(name, utterances, read), corpus_reads


def test_corpora_are_loaded_by_name():
    recordings = read_recordings(CONFIG, FRONT_END, SILENT)
    (corpus,) = recordings.corpora
    assert corpus.utterances == data.load("synthetic", speakers=5, words=2).utterances
    assert recordings.target == "emotion"
    assert len(recordings.waveforms) == len(corpus)
    assert list(recordings.content) == [content_id(w, 16_000) for w in recordings.waveforms]


def test_a_corpus_of_the_user_is_read_instead():
    corpus, reads = made()
    config = RunConfig.make(dataset="nowhere")
    recordings = read_recordings(config, FRONT_END, SILENT, corpora=(corpus,))
    assert recordings.corpora[0].utterances == corpus.utterances
    assert sorted(reads) == sorted(u.path for u in corpus.utterances)
    expected = np.random.default_rng(3).uniform(-0.5, 0.5, 8000).astype(np.float32)
    np.testing.assert_array_equal(recordings.waveforms[3], expected)


def test_two_corpora_of_the_user_are_a_cross_corpus_test():
    first, _ = made("first", emotions=("anger", "neutral", "fear"))
    second, _ = made("second")
    corpora, target = read_tables(CONFIG, (first, second))
    assert [corpus.labels(target) for corpus in corpora] == [["anger", "neutral"]] * 2
    corpus_split = split_corpora(CONFIG, corpora, target)
    tested = [corpus_split.corpus.utterances[i] for i in corpus_split.split.test]
    assert {utterance.path.partition("/")[0] for utterance in tested} == {"second"}
    with pytest.raises(InputError, match="corpora: expected 1, or 2 with that of the test set: 3"):
        read_tables(CONFIG, (first, second, first))


def test_utterances_without_the_target_are_left_out_with_a_note():
    corpus, _ = made()
    utterances = tuple(
        dataclasses.replace(u, emotion=None) if i < 3 else u
        for i, u in enumerate(corpus.utterances)
    )
    (table,), _ = read_tables(CONFIG, (dataclasses.replace(corpus, utterances=utterances),))
    assert len(table) == len(corpus) - 3
    assert table.notes == ("3 utterances without emotion left out",)
    with pytest.raises(InputError, match="mine: expected utterances with text, found none"):
        read_tables(CONFIG.replace(target="text"), (corpus,))


def test_an_impossible_split_is_refused_before_recordings_are_read():
    corpus, reads = made(speakers=2)
    for action in (
        lambda: check_split(CONFIG, (corpus,)),
        lambda: read_recordings(CONFIG, FRONT_END, SILENT, (corpus,)),
    ):
        with pytest.raises(InputError, match="speaker"):
            action()
    assert reads == []


def test_short_utterances_are_refused_or_left_out():
    corpus, _ = made(samples=FRONT_END.window_samples - 1)
    message = rf"mine-00: expected at least one window of {FRONT_END.window_samples} .*; 24 too sh"
    with pytest.raises(InputError, match=message):
        read_recordings(CONFIG, FRONT_END, SILENT, (corpus,))
    reader, table = corpus.read, corpus.utterances

    def longer(utterance, sample_rate):
        waveform = reader(utterance, sample_rate)
        return waveform if utterance.path == "mine-05" else np.tile(waveform, 9)

    corpus = dataclasses.replace(corpus, read=longer)
    recordings = read_recordings(CONFIG.replace(skip_bad_files=True), FRONT_END, SILENT, (corpus,))
    assert recordings.corpora[0].utterances == (*table[:5], *table[6:])
    assert recordings.corpora[0].notes == ("skipped, too short: mine-05",)
    assert len(recordings.waveforms) == len(recordings.content) == 23


def test_folds_of_a_protocol():
    corpus, _ = made()
    tested = []
    for number in (1, 2, 3):
        config = CONFIG.replace(split="speaker", fold=f"{number}/3")
        tested += split_corpora(config, (corpus,), "emotion").split.test.tolist()
    assert sorted(tested) == list(range(len(corpus)))
    with pytest.raises(InputError, match="fold 1/9: leave_one_speaker_out of mine has 6 folds"):
        split_corpora(
            CONFIG.replace(split="leave_one_speaker_out", fold="1/9"), (corpus,), "emotion"
        )


def test_the_training_set_of_another_run():
    corpus, _ = made()
    outer = CONFIG.replace(seed=4)
    whole = read_recordings(outer, FRONT_END, SILENT, (corpus,))
    train = split_corpora(outer, whole.corpora, "emotion", whole.content).split.train
    inner = CONFIG.replace(training_set_of=outer, target="speaker")
    recordings = read_recordings(inner, FRONT_END, SILENT, (corpus,))
    assert recordings.target == "speaker"
    assert recordings.corpora[0].utterances == tuple(corpus.utterances[i] for i in train)
    for waveform, content, i in zip(recordings.waveforms, recordings.content, train, strict=True):
        np.testing.assert_array_equal(waveform, whole.waveforms[i])
        assert content == whole.content[i]


def test_waveforms_are_selected_in_order():
    waveforms = [np.full(3, i, np.float32) for i in range(4)]
    assert [int(w[0]) for w in select_waveforms(waveforms, np.array([2, 0, 2]))] == [2, 0, 2]


@pytest.mark.parametrize("size", [7, 12, 30])
def test_a_subset_has_as_many_of_each_class_as_there_are(size):
    few, _ = made("few", speakers=2, emotions=("fear",), takes=1)
    many, _ = made("many", speakers=6, emotions=("anger", "neutral"))
    corpus = dataclasses.replace(many, utterances=(*many.utterances, *few.utterances))
    (table,), _ = read_tables(CONFIG.replace(subset=size), (corpus,))
    counts = [table.column("emotion").count(name) for name in ("anger", "fear", "neutral")]
    assert sum(counts) == min(size, 26)
    assert counts[1] == 2
    assert abs(counts[0] - counts[2]) <= 1
    assert table.notes == ((f"a subset of {size} of 26 utterances",) if size < 26 else ())
    (again,), _ = read_tables(CONFIG.replace(subset=size, seed=3), (corpus,))
    assert again.utterances == table.utterances
