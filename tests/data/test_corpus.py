"""The table of a corpus, its waveforms, and the loaders of EMO-DB, RAVDESS and FSDD."""

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from serjax import audio, data
from serjax.data.corpus import Corpus, CorpusError, Utterance
from tests.helpers.trees import touch, write_tone

PUBLISHED_CORPORA = (
    "cremad",
    "emodb",
    "fsdd",
    "iemocap",
    "librispeech_words",
    "ravdess",
    "savee",
    "speech_commands",
    "tess",
    "voxceleb",
)


def silence(utterance: Utterance, sample_rate: int) -> np.ndarray:
    return np.zeros(sample_rate // 10, np.float32)


class TestCorpus:
    def test_utterances_are_sorted_by_path_then_start(self):
        utterances = (Utterance("b"), Utterance("a", start=1.0), Utterance("a", start=0.5))
        corpus = Corpus("test", utterances, silence)
        assert [(u.path, u.start) for u in corpus.utterances] == [
            ("a", 0.5),
            ("a", 1.0),
            ("b", None),
        ]

    def test_twice_listed(self):
        with pytest.raises(CorpusError, match="test: a is listed twice"):
            Corpus("test", (Utterance("a", emotion="anger"), Utterance("a")), silence)

    def test_columns_and_labels(self):
        utterances = (Utterance("a", emotion="sadness"), Utterance("b"), Utterance("c", "anger"))
        corpus = Corpus("test", utterances, silence)
        assert len(corpus) == 3
        assert corpus.column("emotion") == ["sadness", None, "anger"]
        assert corpus.labels("emotion") == ["anger", "sadness"]
        with pytest.raises(CorpusError, match="no column 'emotoin'; expected one of path, emotion"):
            corpus.column("emotoin")

    def test_dimensions_are_columns_without_labels(self):
        corpus = Corpus("test", (Utterance("a", valence=2.5), Utterance("b")), silence)
        assert corpus.column("valence") == [2.5, None]
        assert corpus.column("activation") == corpus.column("dominance") == [None, None]
        with pytest.raises(CorpusError, match="expected a column of text, found numbers, valence"):
            corpus.labels("valence")

    def test_select(self):
        corpus = Corpus("test", tuple(map(Utterance, "abcd")), silence, notes=("a note",))
        selected = corpus.select(np.array([3, 1], np.int32))
        assert selected.column("path") == ["b", "d"]
        assert selected.notes == ("a note",)


class TestWaveforms:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("03a01Wa", "03a01Na", "08a01Ta"):
            write_tone(tmp_path / "wav" / f"{name}.wav")
        return tmp_path

    def test_reads_all_in_order(self, folder: Path):
        write_tone(folder / "wav" / "03a01Fa.wav", seconds=0.3)
        done = []
        corpus, waveforms = data.waveforms(
            data.load("emodb", folder), 8000, progress=lambda *counts: done.append(counts)
        )
        assert [len(w) for w in waveforms] == [2400, 800, 800, 800]
        assert all(w.dtype == np.float32 for w in waveforms)
        assert corpus.column("emotion") == ["happiness", "neutral", "anger", "sadness"]
        assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def test_bad_files_are_all_found_before_the_first_is_reported(self, folder: Path):
        (folder / "wav" / "03a02Wa.wav").write_text("not audio")
        (folder / "wav" / "09a02Wa.wav").write_text("not audio")
        corpus = data.load("emodb", folder)
        with pytest.raises(audio.AudioError, match=r"03a02Wa\.wav") as raised:
            data.waveforms(corpus)
        assert "; 1 more of 5 can't be read either; --skip-bad-files" in str(raised.value)

        readable, waveforms = data.waveforms(corpus, skip_bad_files=True)
        assert len(readable) == len(waveforms) == 3
        assert [("03a02Wa.wav" in n, "09a02Wa.wav" in n) for n in readable.notes] == [
            (1, 0),
            (0, 1),
        ]

    def test_one_bad_file(self, folder: Path):
        (folder / "wav" / "03a02Wa.wav").write_text("not audio")
        with pytest.raises(audio.AudioError) as raised:
            data.waveforms(data.load("emodb", folder))
        assert "either" not in str(raised.value)

    def test_nothing_left(self, tmp_path: Path):
        corpus = data.load("emodb", touch(tmp_path, "03a02Wa.wav", "03a01Fa.wav"))
        with pytest.raises(audio.AudioError, match="none of emodb's 2 can be read"):
            data.waveforms(corpus, skip_bad_files=True)

    def test_segment_of_a_recording(self, folder: Path):
        corpus = data.load("emodb", folder)
        whole = corpus.utterances[0]
        segment = Utterance(whole.path, start=0.025, end=0.075)
        np.testing.assert_array_equal(
            corpus.read(segment, 16000), corpus.read(whole, 16000)[400:1200]
        )

    def test_reads_in_threads(self):
        # Each of two reads waits for the other: one thread would wait for ever.
        barrier = threading.Barrier(2, timeout=30)

        def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
            barrier.wait()
            return silence(utterance, sample_rate)

        _, waveforms = data.waveforms(Corpus("test", (Utterance("a"), Utterance("b")), read))
        assert len(waveforms) == 2


class TestLoad:
    def test_names(self):
        assert data.names() == tuple(
            sorted((*PUBLISHED_CORPORA, "csv", "folder", "joined", "synthetic", "tfds"))
        )

    def test_unknown_name(self):
        with pytest.raises(CorpusError, match="unknown dataset 'RAVDES': did you mean 'ravdess'"):
            data.load("RAVDES")
        with pytest.raises(CorpusError, match="unknown dataset 'xyz': known are cremad, csv"):
            data.load("xyz")

    def test_unknown_option(self):
        with pytest.raises(
            CorpusError, match="unknown option of synthetic 'speaker': did you mean 'speakers'"
        ):
            data.load("synthetic", speaker=3)
        with pytest.raises(CorpusError, match="unknown option of emodb 'seed'"):
            data.load("emodb", seed=3)

    @pytest.mark.parametrize(
        ("option", "value", "expected"),
        [
            ("speakers", "abc", "a whole number, found 'abc'"),
            ("words", 2.5, "a whole number, found 2.5"),
            ("variation", "much", "a number, found 'much'"),
            ("correlate", 1, "a word or None, found 1"),
        ],
    )
    def test_option_of_another_type(self, option, value, expected):
        with pytest.raises(CorpusError) as raised:
            data.load("synthetic", **{option: value})
        assert str(raised.value) == f"synthetic, option {option}: expected {expected}"

    def test_generated_corpus_has_no_folder(self):
        with pytest.raises(CorpusError, match="synthetic takes no data directory; found /data"):
            data.load("synthetic", "/data")

    @pytest.mark.parametrize("name", PUBLISHED_CORPORA)
    def test_folder_missing_or_empty(self, name: str, tmp_path: Path):
        file = tmp_path / "corpus.zip"
        file.touch()
        (tmp_path / "empty").mkdir()
        for folder, found in (
            (None, "no data directory given"),
            (tmp_path / "nowhere", "nowhere does not exist"),
            (file, r"corpus\.zip is a file, not a folder"),
            (tmp_path / "empty", "found no files at all"),
        ):
            with pytest.raises(CorpusError, match=found) as raised:
                data.load(name, folder)
            assert "expected " in str(raised.value)
            assert "http" in str(raised.value)
            assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("name", PUBLISHED_CORPORA)
    def test_folder_of_something_else(self, name: str, tmp_path: Path):
        touch(tmp_path, "d.wav", "b/c.wav", "a.txt", "e.mp3")
        with pytest.raises(
            CorpusError, match=r"found 4 other files: a\.txt, b/c\.wav, d\.wav, e\.mp3"
        ):
            data.load(name, tmp_path)


class TestEmodb:
    def test_every_letter(self, tmp_path: Path):
        touch(tmp_path, *(f"wav/16b10{letter}b.wav" for letter in "WLEAFNT"))
        corpus = data.load("emodb", str(tmp_path))
        assert {u.path[9]: u.emotion for u in corpus.utterances} == {
            "W": "anger",
            "L": "boredom",
            "E": "disgust",
            "A": "fear",
            "F": "happiness",
            "N": "neutral",
            "T": "sadness",
        }
        assert {(u.speaker, u.text, u.session) for u in corpus.utterances} == {("16", "b10", None)}
        assert corpus.notes == ()

    @pytest.mark.parametrize("path", ["wav/03a01Wa.wav", "03a01Wa.WAV", "x/y/03a01Wa.flac"])
    def test_recording_at_any_depth(self, tmp_path: Path, path: str):
        assert data.load("emodb", touch(tmp_path, path)).column("path") == [path]

    def test_other_files_are_named_or_counted(self, tmp_path: Path):
        touch(tmp_path, "wav/03a01Wa.wav", "wav/._03a01Wa.wav", "labsilb/03a01Wa.lablaut", "x.wav")
        corpus = data.load("emodb", tmp_path)
        assert len(corpus) == 1
        assert corpus.notes[1:] == (
            "left out 1 files of sound which are not named as EMO-DB's are: x.wav",
            "ignored 1 files that are no recordings",
        )

    def test_one_of_each_name(self, tmp_path: Path):
        touch(tmp_path, "flac/03a01Wa.flac", "03a01Wa.wav")
        corpus = data.load("emodb", tmp_path)
        assert corpus.column("path") == ["03a01Wa.wav"]
        assert corpus.notes == (
            "dropped 1 files whose name another file has, and kept one of each: flac/03a01Wa.flac",
        )

    def test_unknown_letter(self, tmp_path: Path):
        touch(tmp_path, "wav/03a01Xa.wav", "wav/03a01Wa.wav")
        with pytest.raises(CorpusError, match=r"wav/03a01Xa\.wav: unknown emotion letter 'X'"):
            data.load("emodb", tmp_path)

    def test_linked_folders_are_followed_once(self, tmp_path: Path):
        touch(tmp_path, "store/03a01Wa.wav", "corpus/readme.txt")
        (tmp_path / "corpus" / "wav").symlink_to(tmp_path / "store")
        (tmp_path / "store" / "loop").symlink_to(tmp_path / "corpus")
        corpus = data.load("emodb", tmp_path / "corpus")
        assert corpus.column("path") == ["wav/03a01Wa.wav"]

    @pytest.mark.corpus
    def test_real(self, emodb_directory: Path):
        corpus = data.load("emodb", emodb_directory)
        counts = Counter(corpus.column("emotion"))
        assert counts == {"anger": 127, "neutral": 79, "happiness": 71, "sadness": 62}
        assert corpus.labels("speaker") == ["03", *(f"{i:02d}" for i in range(8, 17))]
        assert len(corpus.labels("text")) == 10
        assert corpus.notes == ()
        waveform = corpus.read(corpus.utterances[0], 16000)
        assert waveform.dtype == np.float32
        assert waveform.ndim == 1


class TestRavdess:
    NAME = "03-01-06-02-01-02-12"

    def test_fields(self, tmp_path: Path):
        for code in range(1, 9):
            touch(tmp_path, f"Actor_12/03-01-{code:02d}-01-02-01-12.wav")
        corpus = data.load("ravdess", tmp_path)
        assert corpus.column("emotion") == [
            "neutral",
            "calm",
            "happiness",
            "sadness",
            "anger",
            "fear",
            "disgust",
            "surprise",
        ]
        assert set(corpus.column("speaker")) == {"12"}
        assert set(corpus.column("text")) == {"02"}

    @pytest.mark.parametrize(
        "folder", ["", "Actor_12/", "Audio_Speech_Actors_01-24/Actor_12/", "Actor_05/"]
    )
    def test_labels_are_read_from_the_name_not_the_folder(self, tmp_path: Path, folder: str):
        corpus = data.load("ravdess", touch(tmp_path, f"{folder}{self.NAME}.wav"))
        assert corpus.column("speaker") == ["12"]

    def test_package_that_holds_everything_twice(self, tmp_path: Path):
        names = [f"Actor_{a:02d}/03-01-01-01-01-01-{a:02d}.wav" for a in (1, 2, 3)]
        touch(tmp_path, *names, *(f"audio_speech_actors_01-24/{name}" for name in names))
        corpus = data.load("ravdess", tmp_path)
        assert corpus.column("path") == names
        (note,) = corpus.notes
        assert note.startswith("dropped 3 files whose name another file has, and kept one of each")

    def test_song_and_sound_of_videos_are_dropped(self, tmp_path: Path):
        touch(tmp_path, f"{self.NAME}.wav", "03-02-06-01-02-01-12.wav", "01-01-06-01-02-01-12.wav")
        corpus = data.load("ravdess", tmp_path)
        assert corpus.column("path") == [f"{self.NAME}.wav"]
        assert corpus.notes == ("dropped 2 recordings of song or from video",)

    def test_only_song(self, tmp_path: Path):
        touch(tmp_path, "03-02-06-01-02-01-12.wav")
        with pytest.raises(CorpusError, match=r"no speech in .* found 1 recordings of song"):
            data.load("ravdess", tmp_path)

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("03-01-09-01-01-01-01", "emotion '09'"),
            ("03-01-01-01-01-01-25", "actor '25'"),
            ("03-03-01-01-01-01-01", "vocal channel '03'"),
            ("04-01-01-01-01-01-01", "modality '04'"),
        ],
    )
    def test_unknown_code(self, tmp_path: Path, name: str, what: str):
        touch(tmp_path, f"{self.NAME}.wav", f"{name}.wav")
        with pytest.raises(CorpusError, match=f"RAVDESS: {name}.wav: unknown {what}"):
            data.load("ravdess", tmp_path)

    @pytest.mark.corpus
    def test_real(self, ravdess_directory: Path):
        corpus = data.load("ravdess", ravdess_directory)
        counts = Counter(corpus.column("emotion"))
        assert len(corpus) == 1440
        assert counts.pop("neutral") == 96
        assert len(counts) == 7
        assert set(counts.values()) == {192}
        assert Counter(corpus.column("speaker")) == {f"{a:02d}": 60 for a in range(1, 25)}
        assert Counter(corpus.column("text")) == {"01": 720, "02": 720}


class TestFsdd:
    def test_fields(self, tmp_path: Path):
        corpus = data.load("fsdd", touch(tmp_path, "recordings/7_jackson_32.wav"))
        assert corpus.utterances == (
            Utterance("recordings/7_jackson_32.wav", speaker="jackson", text="7"),
        )

    @pytest.mark.corpus
    def test_real(self, fsdd_directory: Path):
        corpus = data.load("fsdd", fsdd_directory)
        assert Counter(corpus.column("text")) == {str(digit): 300 for digit in range(10)}
        assert set(Counter(corpus.column("speaker")).values()) == {500}
        assert len(corpus.labels("speaker")) == 6
        assert corpus.labels("emotion") == []
