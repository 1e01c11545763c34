"""Splits: stratified, disjoint by a group, reproducible, and refused where impossible."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serjax import data
from serjax.data import splits
from serjax.data.corpus import Corpus, Utterance
from serjax.data.splits import SplitError
from tests.helpers.corpora import (
    EMOTIONS,
    assert_partition,
    assert_tested_once,
    balanced,
    corpora,
    corpus_of,
    seeds,
    sets_of,
)


@given(corpora(), seeds, st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.2, 0.3, 0.5)]))
def test_random_is_stratified(corpus: Corpus, seed: int, fractions: tuple[float, float, float]):
    counts = Counter(corpus.column("emotion"))
    assume(min(counts.values()) >= 3)
    split = splits.split(corpus, "random", seed=seed, fractions=fractions)
    assert_partition(split, corpus)
    for indices, fraction in zip(sets_of(split), fractions, strict=True):
        counts_of_set = Counter(corpus.select(indices).column("emotion"))
        for emotion, count in counts.items():
            assert counts_of_set[emotion] >= 1
            # One for rounding, one more where a small set would be empty.
            assert abs(counts_of_set[emotion] - fraction * count) < 2


@given(corpora(), seeds)
def test_speaker_split_is_disjoint_by_speaker(corpus: Corpus, seed: int):
    speakers = defaultdict(set)
    for utterance in corpus.utterances:
        speakers[utterance.emotion].add(utterance.speaker)
    assume(min(map(len, speakers.values())) >= 4)  # or no training set may have the class
    split = splits.split(corpus, "speaker", seed=seed)
    assert_partition(split, corpus)
    speakers_of = [set(corpus.select(indices).column("speaker")) for indices in sets_of(split)]
    assert sum(map(len, speakers_of)) == len(corpus.labels("speaker"))
    assert corpus.select(split.train).labels("emotion") == corpus.labels("emotion")


@given(corpora(), seeds, st.data())
@pytest.mark.parametrize("name", ["random", "speaker"])
def test_same_content_stays_together(name: str, corpus: Corpus, seed: int, more: st.DataObject):
    content = more.draw(
        st.lists(st.integers(0, 40), min_size=len(corpus), max_size=len(corpus)), label="content"
    )
    try:
        split = splits.split(corpus, name, seed=seed, content=content)
    except SplitError:
        assume(False)
    assert_partition(split, corpus)
    contents = [{content[i] for i in indices} for indices in sets_of(split)]
    assert sum(map(len, contents)) == len(set(content))


@given(corpora(), seeds, st.randoms())
@pytest.mark.parametrize("name", ["random", "speaker"])
def test_depends_on_the_seed_and_not_on_the_order(name, corpus, seed, random):
    shuffled = list(corpus.utterances)
    random.shuffle(shuffled)
    try:
        first = splits.split(corpus, name, seed=seed)
    except SplitError:
        assume(False)
    second = splits.split(Corpus("made", tuple(shuffled), corpus.read), name, seed=seed)
    for a, b in zip(sets_of(first), sets_of(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["random", "speaker"])
def test_other_seeds_give_other_splits(name: str):
    tests = {tuple(splits.split(balanced(), name, seed=seed).test) for seed in range(8)}
    assert len(tests) >= 6


def test_random_split_breaks_ties_of_rounding_at_random():
    # Ten classes of 6 x (0.5, 0.25, 0.25) = 3, 1.5, 1.5: ties are broken at random.
    corpus = corpus_of([(f"{c}", None) for c in range(10) for _ in range(6)])
    sizes = [
        len(splits.split(corpus, "random", fractions=(0.5, 0.25, 0.25), seed=seed).test)
        for seed in range(20)
    ]
    assert 13 < np.mean(sizes) < 17


def test_sets_by_speaker_have_nearly_the_requested_fractions():
    # Speakers of very different sizes and classes: a single random cut is often far off.
    rng = np.random.default_rng(0)
    rows = []
    for speaker in range(20):
        likely = rng.dirichlet(np.ones(3))
        for emotion in rng.choice(EMOTIONS, size=rng.integers(5, 60), p=likely):
            rows.append((str(emotion), f"{speaker:02d}"))
    corpus = corpus_of(rows)
    for seed in range(5):
        split = splits.split(corpus, "speaker", seed=seed)
        for indices, fraction in zip(sets_of(split), (0.6, 0.2, 0.2), strict=True):
            assert abs(len(indices) / len(corpus) - fraction) < 0.08


def test_session_split_is_disjoint_by_session():
    utterances = [
        Utterance(f"{i:03d}", emotion=EMOTIONS[i % 3], speaker=f"{i % 2}", session=f"{i % 5}")
        for i in range(150)
    ]
    corpus = Corpus("made", tuple(utterances), balanced().read)
    split = splits.split(corpus, "session")
    assert_partition(split, corpus)
    assert [len(corpus.select(indices).labels("session")) for indices in sets_of(split)] == [
        3,
        1,
        1,
    ]


def test_predefined_sets_are_the_sessions():
    utterances = [
        Utterance(f"{i}", emotion="anger", session=session)
        for i, session in enumerate(["test", "train", "validation", "train"])
    ]
    corpus = Corpus("made", tuple(utterances), balanced().read)
    split = splits.split(corpus, "predefined")
    assert [indices.tolist() for indices in sets_of(split)] == [[1, 3], [2], [0]]
    with pytest.raises(SplitError, match=r"puts the same recording in two sets: 0 \(test\)"):
        splits.split(corpus, "predefined", content=["a", "a", "b", "c"])


class TestErrors:
    def test_unknown_split(self):
        with pytest.raises(SplitError, match="unknown split 'speakers': did you mean 'speaker'"):
            splits.split(balanced(), "speakers")
        assert splits.names() == ("predefined", "random", "session", "speaker")

    @pytest.mark.parametrize(
        "fractions", [(0.6, 0.4), (0.6, 0.2, 0.3), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)]
    )
    def test_fractions(self, fractions):
        with pytest.raises(SplitError, match="three positive numbers of sum 1; found"):
            splits.split(balanced(), "random", fractions=fractions)

    def test_too_few_speakers(self):
        with pytest.raises(SplitError, match=r"needs 3 speakers, .* found 2; a random split would"):
            splits.split(balanced(speakers=2), "speaker")

    def test_no_speakers(self):
        corpus = corpus_of([("anger", None)] * 9)
        with pytest.raises(SplitError, match=r"9 of 9 utterances have no speaker.* random split"):
            splits.split(corpus, "speaker")

    def test_no_target(self):
        corpus = corpus_of([(None, "01")] * 9)
        with pytest.raises(SplitError, match=r"have no emotion, .* the corpus has speaker; choose"):
            splits.split(corpus, "random")

    def test_some_without_target(self):
        corpus = corpus_of([("anger", "01")] * 8 + [(None, "01")])
        with pytest.raises(SplitError, match="1 of 9 utterances have no emotion, such as 0008"):
            splits.split(corpus, "random")

    def test_empty_corpus(self):
        with pytest.raises(SplitError, match=r"0 of 0 utterances .* the corpus has no labels"):
            splits.split(corpus_of([]), "random")

    def test_rare_class(self):
        corpus = corpus_of([("anger", "01")] * 9 + [("fear", "02")] * 2)
        with pytest.raises(SplitError, match=r"3 different recordings .* 'fear' has 2"):
            splits.split(corpus, "random")

    def test_class_that_is_one_recording(self):
        corpus = corpus_of([("anger", "01")] * 9 + [("fear", "02")] * 3)
        with pytest.raises(SplitError, match="'fear' has 1"):
            splits.split(corpus, "random", content=[*range(9), "x", "x", "x"])

    def test_classes_that_no_training_set_can_have(self):
        # Each speaker has a class of its own: three classes cannot all be trained.
        corpus = corpus_of([(e, e) for e in EMOTIONS for _ in range(5)])
        with pytest.raises(SplitError, match="found no speaker split whose training set has all"):
            splits.split(corpus, "speaker")

    def test_recordings_that_tie_all_speakers(self):
        with pytest.raises(SplitError, match=r"such as 0000 and \d+, tie the speakers to 1 groups"):
            splits.split(balanced(4), "speaker", content=["same"] * 48)

    def test_content_of_another_corpus(self):
        with pytest.raises(SplitError, match="2 identifiers of sounds given for 120 utterances"):
            splits.split(balanced(), "random", content=["a", "b"])

    def test_sessions_with_other_names(self):
        with pytest.raises(SplitError, match="named train, validation, test; found 'Ses01'"):
            splits.split(corpus_of([("anger", "01")] * 9, session="Ses01"), "predefined")

    def test_empty_predefined_set(self):
        with pytest.raises(SplitError, match="the validation set of the predefined split is empty"):
            splits.split(corpus_of([("anger", "01")] * 9, session="train"), "predefined")


def test_content_hash():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 1000)).astype(np.float32)
    hashes = [splits.content_hash(w) for w in (a, b, a.copy(), a[:-1], a[::-1][::-1])]
    assert hashes[0] == hashes[2] == hashes[4]
    assert len(set(hashes)) == 3


@pytest.mark.corpus
def test_ravdess_actors(ravdess_directory: Path):
    corpus = data.load("ravdess", ravdess_directory)
    split = splits.split(corpus, "speaker")
    assert [len(indices) // 60 for indices in sets_of(split)] == [14, 5, 5]


@pytest.mark.corpus
def test_ravdess_identical_files_stay_together(ravdess_directory: Path):
    corpus = data.load("ravdess", ravdess_directory)
    actor = corpus.select([i for i, s in enumerate(corpus.column("speaker")) if s == "07"])
    waveforms = data.waveforms(actor)[1]
    ids = [splits.content_id(waveform, 16_000) for waveform in waveforms]
    content = splits.same_sound(ids, waveforms.__getitem__, 16_000).tolist()
    twins = [i for i, c in enumerate(content) if content.count(c) > 1]
    assert [Path(actor.utterances[i].path).stem for i in twins] == [
        "03-01-03-01-02-01-07",
        "03-01-03-01-02-02-07",
    ]
    for seed in range(10):
        split = splits.split(actor, "random", seed=seed, content=content)
        assert any(set(twins) <= set(indices.tolist()) for indices in sets_of(split))


@pytest.mark.corpus
@pytest.mark.parametrize("protocol", ["random", "speaker", "leave_one_speaker_out"])
def test_folds_of_emodb(protocol, emodb_directory: Path):
    corpus = data.load("emodb", emodb_directory)
    folds = splits.folds(corpus, protocol)
    assert len(folds) == (10 if protocol == "leave_one_speaker_out" else 5)
    assert_tested_once(folds, corpus)
