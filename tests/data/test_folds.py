"""Cross-validation and cross-corpus splits: every utterance is tested once, sets are disjoint."""

import csv
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

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


def sessions(count: int = 5, speakers: int = 2, takes: int = 2) -> Corpus:
    """Returns utterances named like IEMOCAP's; sessions are disjoint by speaker."""
    utterances = [
        Utterance(f"Ses{s:02d}_{p}_{e}_{t}", emotion=e, speaker=f"{s}{p}", session=f"Ses{s:02d}")
        for s in range(1, count + 1)
        for p in "FMX"[:speakers]
        for e in EMOTIONS
        for t in range(takes)
    ]
    return Corpus("sessions", tuple(utterances), balanced().read)


@given(corpora(), seeds, st.integers(3, 6), st.data())
@pytest.mark.parametrize("protocol", ["random", "speaker", "leave_one_speaker_out"])
def test_every_utterance_is_tested_once(protocol, corpus, seed, count, more):
    # Few of the recordings have a twin, or all speakers would be tied to one another.
    twins = more.draw(st.dictionaries(st.integers(0, 11), st.integers(0, 11), max_size=2))
    content = [twins.get(i, i) for i in range(len(corpus))]
    try:
        folds = splits.folds(corpus, protocol, folds=count, seed=seed, content=content)
    except SplitError:
        assume(False)
    assert len(folds) == (len(corpus.labels("speaker")) if "leave" in protocol else count)
    assert_tested_once(folds, corpus)
    for fold in folds:
        contents = [{content[i] for i in indices} for indices in sets_of(fold)]
        assert sum(map(len, contents)) == len(set(content))
        if protocol != "random":
            speakers = [set(corpus.select(indices).column("speaker")) for indices in sets_of(fold)]
            assert sum(map(len, speakers)) == len(corpus.labels("speaker"))
    validated = np.concatenate([fold.validation for fold in folds])
    assert sorted(validated.tolist()) == list(range(len(corpus)))


@given(corpora(), seeds, st.integers(3, 6))
def test_random_folds_are_stratified(corpus: Corpus, seed: int, count: int):
    sizes = Counter(corpus.column("emotion"))
    assume(min(sizes.values()) >= 3)
    for fold in splits.folds(corpus, "random", folds=count, seed=seed):
        got = Counter(corpus.select(fold.test).column("emotion"))
        for emotion, size in sizes.items():
            # As scikit-learn's StratifiedKFold: rounded up or down.
            assert got[emotion] in (size // count, -(-size // count))


def test_folds_depend_only_on_the_seed():
    for protocol in ("random", "speaker", "leave_one_speaker_out"):
        a, b, c = (splits.folds(balanced(), protocol, seed=seed) for seed in (0, 0, 1))
        for first, second in zip(a, b, strict=True):
            for x, y in zip(sets_of(first), sets_of(second), strict=True):
                np.testing.assert_array_equal(x, y)
        assert any(not np.array_equal(x.train, y.train) for x, y in zip(a, c, strict=True))


def test_speaker_folds_have_similar_sizes():
    for fold in splits.folds(balanced(speakers=24), "speaker"):
        assert [len(indices) // 12 for indices in sets_of(fold)] in (
            [14, 5, 5],
            [15, 4, 5],
            [15, 5, 4],
        )


def test_leave_one_session_out_is_padis():
    corpus = sessions()
    folds = splits.folds(corpus, "leave_one_session_out")
    assert_tested_once(folds, corpus)
    for number, fold in enumerate(folds, start=1):
        assert corpus.select(fold.test).labels("session") == [f"Ses{number:02d}"]
        assert len(corpus.select(fold.train).labels("session")) == 3
        assert len(corpus.select(fold.validation).labels("session")) == 1


def test_leave_one_session_speaker_out_trains_on_all_other_sessions():
    corpus = sessions()
    folds = splits.folds(corpus, "leave_one_session_speaker_out")
    assert_tested_once(folds, corpus)
    assert [corpus.select(fold.test).labels("speaker") for fold in folds] == [
        [f"{s}{p}"] for s in range(1, 6) for p in "FM"
    ]
    for fold in folds:
        held_out = corpus.select(fold.test).labels("session")
        assert corpus.select(fold.validation).labels("session") == held_out
        assert len(corpus.select(fold.validation).labels("speaker")) == 1
        assert len(corpus.select(fold.train).labels("session")) == 4


def test_segments_of_a_recording_stay_together():
    utterances = [
        Utterance(f"{i // 4}", emotion=EMOTIONS[i % 3], start=float(i % 4), end=i % 4 + 1.0)
        for i in range(120)
    ]
    corpus = Corpus("segments", tuple(utterances), balanced().read)
    for split in (*splits.folds(corpus, "random"), splits.split(corpus, "random")):
        paths = [set(corpus.select(indices).column("path")) for indices in sets_of(split)]
        assert sum(map(len, paths)) == 30


class TestFoldErrors:
    def test_unknown_protocol(self):
        with pytest.raises(SplitError, match="unknown protocol 'speakers': did you mean 'speaker'"):
            splits.folds(balanced(), "speakers")
        assert set(splits.protocols()) > {"random", "session", "speaker"}

    def test_too_few_folds(self):
        with pytest.raises(SplitError, match=r"expected at least 3, .* found 2"):
            splits.folds(balanced(), "random", folds=2)

    def test_more_folds_than_speakers(self):
        with pytest.raises(SplitError, match=r"a speaker split needs 11 speakers, .* found 10"):
            splits.folds(balanced(), "speaker", folds=11)

    def test_rare_class(self):
        corpus = corpus_of([("anger", "01")] * 9 + [("fear", "02")] * 2)
        with pytest.raises(SplitError, match=r"3 different recordings .* 'fear' has 2"):
            splits.folds(corpus, "random")

    def test_class_of_two_speakers(self):
        corpus = corpus_of([("anger", f"{s}") for s in range(6)] + [("fear", "0"), ("fear", "1")])
        # Whatever the folds, one of them leaves both to validation and test, or both are tested.
        with pytest.raises(SplitError, match=r"found no speaker split .* have 'fear'"):
            splits.folds(corpus, "speaker", folds=3)

    def test_class_of_the_speaker_left_out(self):
        corpus = corpus_of([(e, f"{s}") for s in range(4) for e in EMOTIONS] + [("fear", "2")])
        with pytest.raises(SplitError, match=r"fold \d\) split has no 'fear'"):
            splits.folds(corpus, "leave_one_speaker_out")

    def test_identical_recordings_of_two_speakers(self):
        corpus = balanced(speakers=4)
        content = ["twin" if i in (0, 47) else str(i) for i in range(len(corpus))]
        with pytest.raises(SplitError, match=r"same recording in two sets: 0000 .* 0047"):
            splits.folds(corpus, "leave_one_speaker_out", content=content)

    def test_speaker_of_two_sessions(self):
        utterances = [*sessions().utterances, Utterance("x", emotion="anger", speaker="1F")]
        moved = [
            u if u.path != "x" else Utterance("x", "anger", "1F", session="Ses02")
            for u in utterances
        ]
        corpus = Corpus("sessions", tuple(moved), balanced().read)
        with pytest.raises(SplitError, match=r"expected two speakers .* found 3 in Ses02"):
            splits.folds(corpus, "leave_one_session_speaker_out")

    def test_two_speakers_cannot_be_left_out(self):
        with pytest.raises(SplitError, match=r"needs 3 speakers, .* found 2"):
            splits.folds(balanced(speakers=2), "leave_one_speaker_out")

    def test_no_sessions(self):
        with pytest.raises(SplitError, match=r"have no session, .* leave_one_speaker_out would"):
            splits.folds(balanced(), "leave_one_session_speaker_out")

    @pytest.mark.parametrize("text", ["2", "0/5", "6/5", "a/b", "1/5/5"])
    def test_fold_of(self, text):
        assert splits.parse_fold("2/5") == (2, 5)
        with pytest.raises(SplitError, match=r"as 2/5; found"):
            splits.parse_fold(text)


class TestSplitFiles:
    @pytest.fixture
    def write(self, tmp_path):
        def write(rows, columns=("path", "split")):
            path = tmp_path / "splits.csv"
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([columns, *rows])
            return path

        return write

    def test_sets_are_the_listed_ones(self, write):
        corpus = balanced(speakers=3)
        named = [(u.path, splits.SPLIT_NAMES[int(u.speaker)]) for u in corpus.utterances]
        path = write([*named, ("other.wav", "test")])
        split = splits.split(corpus, "predefined", split_file=path)
        assert [indices.tolist() for indices in sets_of(split)] == [
            list(range(12 * i, 12 * i + 12)) for i in range(3)
        ]

    @pytest.mark.parametrize(
        ("rows", "columns", "message"),
        [
            ([("0000", "train")], ("name", "split"), "no column path; found name, split"),
            (
                [("0000", "rest")],
                ("path", "split"),
                "line 2: expected split train, .* found 'rest'",
            ),
            ([("0000", "train"), ("0000", "test")], ("path", "split"), "line 3: 0000 is listed in"),
            ([("0000", "train")], ("path", "split"), "35 of made's 36 utterances .* such as 0001"),
        ],
    )
    def test_errors(self, write, rows, columns, message):
        with pytest.raises(SplitError, match=message):
            splits.split(balanced(speakers=3), "predefined", split_file=write(rows, columns))

    def test_no_such_file(self):
        with pytest.raises(SplitError, match=r"nowhere.csv: expected a CSV file that can be read"):
            splits.split(balanced(), "predefined", split_file="nowhere.csv")

    def test_common_names_of_the_sets(self, write):
        corpus = balanced(speakers=3)
        sets = ("Training", "dev", "testing")
        named = [(sets[int(u.speaker)], u.path) for u in corpus.utterances]
        path = write(named, ("partition", "file"))
        split = splits.split(corpus, "predefined", split_file=path)
        assert [len(indices) for indices in sets_of(split)] == [12, 12, 12]

    def test_another_split(self, write):
        with pytest.raises(SplitError, match="is for the predefined split; found speaker"):
            splits.split(balanced(), "speaker", split_file=write([]))


# Utterances of the speakers of EMO-DB: anger, happiness, neutral, sadness.
EMODB = {
    "03": (14, 7, 11, 7),
    "08": (12, 11, 10, 9),
    "09": (13, 4, 9, 4),
    "10": (10, 4, 4, 3),
    "11": (11, 8, 9, 7),
    "12": (12, 2, 4, 4),
    "13": (12, 10, 9, 5),
    "14": (16, 8, 7, 10),
    "15": (13, 6, 11, 4),
    "16": (14, 11, 5, 9),
}


class TestCross:
    def corpora(self, test_name="other"):
        def read(name):
            return lambda utterance, rate: np.array([len(name), int(utterance.path)], np.float32)

        first = Corpus("made", balanced().utterances, read("made"))
        second = Corpus(test_name, balanced(3, 2).utterances, read(test_name))
        return first, second

    @pytest.mark.parametrize("name", ["random", "speaker"])
    def test_training_and_validation_sets_are_one_corpus_and_the_test_set_the_other(self, name):
        train, test = self.corpora()
        cross = splits.split_cross_corpus(train, test, split=name)
        corpus, split = cross.corpus, cross.split
        assert_partition(split, corpus)
        for indices, prefix in ((split.train, "made/"), (split.validation, "made/")):
            assert all(str(p).startswith(prefix) for p in corpus.select(indices).column("path"))
        assert corpus.select(split.test).column("emotion") == test.column("emotion")
        assert len(split.validation) / len(train) == pytest.approx(0.25, abs=0.06)
        if name == "speaker":
            speakers = [set(corpus.select(indices).column("speaker")) for indices in sets_of(split)]
            assert sum(map(len, speakers)) == 13  # "00" of one corpus is not "00" of the other

    def test_other_seeds_give_other_splits(self):
        # EMO-DB's ten speakers divide 3:1 in few ways, one of which is the most even.
        train = corpus_of(
            [
                (emotion, speaker)
                for speaker, counts in EMODB.items()
                for emotion, count in zip("WFNT", counts, strict=True)
                for _ in range(count)
            ]
        )
        test = corpus_of([(emotion, "x") for emotion in "WFNT"])
        validated = {
            tuple(splits.split_cross_corpus(train, test, seed=seed).split.validation)
            for seed in range(8)
        }
        assert len(validated) >= 5

    @pytest.mark.parametrize("test_name", ["other", "made", "another"])
    def test_every_utterance_keeps_its_sound(self, test_name):
        train, test = self.corpora(test_name)
        cross = splits.split_cross_corpus(train, test)
        both = [
            corpus.read(utterance, 16000)
            for corpus in (train, test)
            for utterance in corpus.utterances
        ]
        for utterance, place in zip(cross.corpus.utterances, cross.indices, strict=True):
            np.testing.assert_array_equal(cross.corpus.read(utterance, 16000), both[place])

    def test_common_classes_only(self):
        train = corpus_of([(e, f"{i}") for i in range(4) for e in ("anger", "fear", "neutral")])
        test = corpus_of([(e, "x") for e in ("anger", "neutral", "sadness", "sadness")])
        selected = splits.shared_classes(train, test)
        assert [corpus.labels("emotion") for corpus in selected] == [["anger", "neutral"]] * 2
        assert [len(corpus) for corpus in selected] == [8, 2]
        assert selected[1].notes == ("2 utterances of sadness left out",)
        with pytest.raises(SplitError, match="same classes of emotion; only one has fear, sadness"):
            splits.split_cross_corpus(train, test)

    def test_too_few_common_classes(self):
        train, test = corpus_of([("anger", "1"), ("fear", "1")]), corpus_of([("anger", "1")])
        with pytest.raises(SplitError, match=r"at least 2 classes .* found anger; made has anger"):
            splits.shared_classes(train, test)

    def test_a_recording_in_both(self):
        train, test = self.corpora()
        content = [*range(len(train)), *range(1000, 1000 + len(test))]
        splits.split_cross_corpus(train, test, content=content)
        content[-1] = content[5]
        with pytest.raises(SplitError, match=r"same recording in two sets: made/0005 .* other/"):
            splits.split_cross_corpus(train, test, content=content)

    def test_unknown_split_and_fraction(self):
        train, test = self.corpora()
        with pytest.raises(SplitError, match="unknown split of a training corpus 'predefined'"):
            splits.split_cross_corpus(train, test, split="predefined")
        with pytest.raises(
            SplitError, match=r"validation: expected a fraction in \(0, 1\), found 1"
        ):
            splits.split_cross_corpus(train, test, validation=1)
