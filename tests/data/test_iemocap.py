"""IEMOCAP on a generated tree, with the defects of real copies."""

from collections import Counter
from pathlib import Path

import pytest

from serjax import data
from serjax.data.corpora import PUBLISHED
from serjax.data.corpus import CorpusError, Utterance
from tests.helpers.trees import IEMOCAP_COUNTS, iemocap, touch


@pytest.fixture(scope="module")
def iemocap_corpus(tmp_path_factory: pytest.TempPathFactory) -> data.Corpus:
    return data.load("iemocap", iemocap(tmp_path_factory.mktemp("iemocap")))


class TestIemocap:
    @pytest.fixture
    def corpus(self, iemocap_corpus: data.Corpus) -> data.Corpus:
        return iemocap_corpus

    def test_published_counts(self, corpus: data.Corpus):
        published = PUBLISHED["iemocap"]
        counts = Counter(corpus.column("emotion"))
        assert counts.pop(None) == 2507 + 3
        assert counts == published.counts
        assert len(corpus) == published.total

    def test_tables_in_folders_below_are_not_read(self, corpus: data.Corpus):
        # They label utterances without a recording, which the notes would count.
        assert not any("labelled utterances" in note for note in corpus.notes)
        assert any("of sound which are not named as IEMOCAP's are" in n for n in corpus.notes)

    @pytest.mark.parametrize(
        ("labels", "counts"),
        [
            # Padi et al. 2021, section 4.1 and table 2.
            ("iemocap_exp1", {"anger": 1103, "happiness": 595, "neutral": 1708, "sadness": 1084}),
            ("iemocap_exp2", {"anger": 1103, "excitement": 1041, "neutral": 1708, "sadness": 1084}),
            ("iemocap_exp3", {"anger": 1103, "happiness": 1636, "neutral": 1708, "sadness": 1084}),
        ],
    )
    def test_experiments(self, corpus: data.Corpus, labels: str, counts: dict[str, int]):
        selected = data.labels.apply(corpus, labels)
        totals = {"iemocap_exp1": 4490, "iemocap_exp2": 4936, "iemocap_exp3": 5531}
        assert len(selected) == totals[labels]
        assert Counter(selected.column("emotion")) == counts

    def test_sessions_of_the_third_experiment(self, corpus: data.Corpus):
        sessions = Counter(data.labels.apply(corpus, "iemocap_exp3").column("session"))
        expected = (1085, 1023, 1151, 1031, 1241)
        assert sessions == {f"Ses0{i}": count for i, count in enumerate(expected, start=1)}

    def test_speaker_is_the_letter_of_the_last_token(self, corpus: data.Corpus):
        differ = 0
        for utterance in corpus.utterances:
            name = Path(utterance.path).stem
            assert utterance.speaker == name[:5] + name.split("_")[-1][0]
            assert utterance.session == name[:5]
            differ += utterance.speaker != name[:6]
        assert len(corpus.labels("speaker")) == 10
        assert differ > len(corpus) / 3  # the tree would show the mistake

    def test_utterances_are_whole_files_with_dimensions(self, corpus: data.Corpus):
        assert corpus.utterances[0] == Utterance(
            "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
            "anger",
            speaker="Ses01F",
            session="Ses01",
            valence=2.5,
            activation=3.0,
            dominance=3.5,
        )
        assert {(u.start, u.end, u.text) for u in corpus.utterances} == {(None, None, None)}

    @pytest.mark.parametrize(
        ("label", "emotion"),
        [("fru", "frustration"), ("sur", "surprise"), ("fea", "fear"), ("dis", "disgust")],
    )
    def test_rare_labels(self, tmp_path: Path, label: str, emotion: str):
        corpus = data.load("iemocap", iemocap(tmp_path, {3: {label: 1, "xxx": 1, "oth": 1}}))
        assert Counter(corpus.column("emotion")) == {emotion: 1, None: 2}

    def test_every_file_twice(self, tmp_path: Path):
        iemocap(tmp_path, {1: {"ang": 4}})
        iemocap(tmp_path / "IEMOCAP_full_release", {1: {"ang": 4}})
        corpus = data.load("iemocap", tmp_path)
        assert len(corpus) == 4
        assert all(path.startswith("Session1/") for path in corpus.column("path"))

    def test_missing_recordings_and_labels_are_noted(self, tmp_path: Path):
        iemocap(tmp_path, {1: {"ang": 3}})
        wav = tmp_path / "Session1/sentences/wav"
        (wav / "Ses01F_impro01/Ses01F_impro01_F000.wav").unlink()
        touch(wav, "Ses01F_impro01/Ses01F_impro01_F099.wav")
        corpus = data.load("iemocap", tmp_path)
        assert len(corpus) == 2
        assert corpus.notes[-2:] == (
            "1 labelled utterances have no recording, such as Ses01F_impro01_F000",
            "1 recordings have no label, such as Ses01F_impro01_F099",
        )

    def test_no_tables(self, tmp_path: Path):
        touch(tmp_path, "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
        with pytest.raises(
            CorpusError, match=r"no table in .*, only 1 recordings; .*EmoEvaluation"
        ):
            data.load("iemocap", tmp_path)

    def test_labels_of_other_recordings(self, tmp_path: Path):
        iemocap(tmp_path, {1: {"ang": 1}})
        for path in tmp_path.glob("Session1/sentences/wav/*/*.wav"):
            path.rename(path.with_stem("Ses01F_impro01_F777"))
        with pytest.raises(CorpusError, match=r"none of the 1 labels in .* is of one of its 1"):
            data.load("iemocap", tmp_path)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("[1.0 - 2.0]\tSes01F_impro01_F000\tjoy\t[1.0, 1.0, 1.0]", "unknown emotion 'joy'"),
            ("[1.0 - 2.0]\tSes01F_impro01_F000\tang", r"expected \[start - end\], utterance"),
        ],
    )
    def test_bad_line(self, tmp_path: Path, line: str, message: str):
        iemocap(tmp_path, {1: {"ang": 1}})
        table = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
        table.write_text(f"% head\n{line}\n")
        with pytest.raises(CorpusError, match=rf"Ses01F_impro01\.txt, line 2: {message}") as raised:
            data.load("iemocap", tmp_path)
        assert "\n" not in str(raised.value)

    def test_the_tree_has_the_published_sums(self):
        sums = Counter()
        for counts in IEMOCAP_COUNTS.values():
            sums.update(counts)
        expected = {"neu": 1708, "ang": 1103, "sad": 1084, "exc": 1041, "hap": 595}
        assert {label: sums[label] for label in expected} == expected
