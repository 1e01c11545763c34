"""Corpora in folders or a CSV file, with the defects of real copies."""

import csv
from pathlib import Path

import pytest

from serjax import data
from serjax.data.corpus import CorpusError, Utterance
from tests.helpers.trees import touch, write_tone


class TestFolder:
    def test_emotion_is_the_first_folder(self, tmp_path: Path):
        touch(tmp_path, "Anger/a.wav", "Anger/deep/er/b.FLAC", "sad/a.wav", "notes.txt", "x.wav")
        touch(tmp_path, "sad/._a.wav", ".cache/a.wav")
        corpus = data.load("folder", tmp_path)
        assert [(u.path, u.emotion) for u in corpus.utterances] == [
            ("Anger/a.wav", "anger"),
            ("Anger/deep/er/b.FLAC", "anger"),
            ("sad/a.wav", "sad"),
        ]
        assert corpus.notes == (
            "skipped 2 hidden files and folders, or those of operating systems, drives and archive "
            "tools: .cache, sad/._a.wav",
            "left out 1 files of sound which are not in a sub-folder: x.wav",
            "ignored 1 files that are no recordings",
        )

    def test_reads(self, tmp_path: Path):
        write_tone(tmp_path / "calm" / "a.wav", seconds=0.2)
        _, (waveform,) = data.waveforms(data.load("folder", tmp_path), 8000)
        assert waveform.shape == (1600,)

    def test_empty_class(self, tmp_path: Path):
        touch(tmp_path, "anger/a.wav", "boredom/readme.txt")
        with pytest.raises(CorpusError, match="boredom holds no recording"):
            data.load("folder", tmp_path)

    def test_missing_or_empty_folder(self, tmp_path: Path):
        with pytest.raises(CorpusError, match="folder: no data directory given; expected"):
            data.load("folder")
        with pytest.raises(CorpusError, match="does not exist"):
            data.load("folder", tmp_path / "nowhere")
        touch(tmp_path, "a.wav")
        with pytest.raises(CorpusError, match=r"no recording in a sub-folder of .*found 1 other"):
            data.load("folder", tmp_path)
        with pytest.raises(CorpusError, match="is a file, not a folder"):
            data.load("folder", tmp_path / "a.wav")


class TestCsv:
    @pytest.fixture
    def write(self, tmp_path: Path):
        touch(tmp_path, "a.wav", "deep/b.wav", "deep/c, d.wav")

        def write(*rows: tuple, name: str = "table.csv") -> Path:
            with (tmp_path / name).open("w", newline="", encoding="utf-8-sig") as file:
                csv.writer(file).writerows(rows)
            return tmp_path / name

        return write

    def test_all_columns(self, write):
        names = ("path", "emotion", "speaker", "text", "session", "start", "end")
        table = write(
            (*names, "valence", "activation", "dominance", "gender"),
            ("deep/b.wav", "Anger", "s1", "hello", "1", "0.5", "1.5", "2", "-1", "1e-1", "f"),
            ("deep/c, d.wav", "sadness", "s2", "", "", "", "", "", "", "", "m"),
            ("a.wav", "sadness", "", "", "", "", "3", "", "", "", ""),
        )
        corpus = data.load("csv", table)
        assert corpus.utterances == (
            Utterance("a.wav", "sadness", end=3.0),
            Utterance("deep/b.wav", "anger", "s1", "hello", "1", 0.5, 1.5, 2.0, -1.0, 0.1),
            Utterance("deep/c, d.wav", "sadness", "s2"),
        )
        assert corpus.notes == ("ignored columns of the CSV: gender",)

    def test_folder_with_one_table(self, write, tmp_path: Path):
        write(("emotion", "path"), ("calm", "deep/b.wav"))
        assert data.load("csv", tmp_path).utterances == (Utterance("deep/b.wav", "calm"),)

    def test_folder_with_several_or_none(self, write, tmp_path: Path):
        with pytest.raises(CorpusError, match=r"expected one CSV file in .*, found none"):
            data.load("csv", tmp_path)
        write(("path",), name="one.csv")
        write(("path",), name="two.csv")
        with pytest.raises(CorpusError, match=r"expected one CSV file in .*, found one\.csv, two"):
            data.load("csv", tmp_path)

    def test_reads_segments(self, write, tmp_path: Path):
        write_tone(tmp_path / "a.wav", seconds=0.5)
        rows = [("a.wav", "calm", "0.1", "0.2"), ("a.wav", "calm", "0.2", "")]
        table = write(("path", "emotion", "start", "end"), *rows)
        _, waveforms = data.waveforms(data.load("csv", table))
        assert [len(waveform) for waveform in waveforms] == [1600, 4800]

    @pytest.mark.parametrize(
        ("header", "rows", "message"),
        [
            ("path,mood", ["a.wav,x"], "line 1: no column emotion; found path, mood"),
            ("name,emotion", ["a.wav,x"], "line 1: no column path; found name, emotion"),
            ("", [], "line 1: no column path; found none"),
            ("path,emotion,path", ["a.wav,x,a.wav"], "line 1: column 'path' is there twice"),
            ("path,emotion", [], "has no line below the names of its columns"),
            ("path,emotion", [",x"], "line 2, column path: is empty"),
            ("path,emotion", ["a.wav"], "line 2: expected 2 cells, found 1"),
            ("path,emotion", ["a.wav,x,y"], "line 2: expected 2 cells, found 3"),
            ("path,emotion", ["a.wav,x", "e.wav,x"], r"line 3, column path: no file .*e\.wav"),
            (
                "path,emotion",
                ["a.wav,x", "deep/b.wav,x", "./a.wav,y"],
                r"line 4, column path: a\.wav is listed already in line 2",
            ),
            (
                "path,emotion,start",
                ["a.wav,x,0", "a.wav,x,half"],
                "line 3, column start: expected a number, found 'half'",
            ),
            ("path,emotion,valence", ["a.wav,x,inf"], "column valence: expected a number"),
            ("path,emotion,start", ["a.wav,x,-1"], "column start: expected 0 or more, found -1"),
            (
                "path,emotion,start,end",
                ["a.wav,x,2,1"],
                "column end: expected more than 2, found 1",
            ),
            ("path,emotion", ['a.wav,"x'], "is not a CSV file"),
        ],
    )
    def test_bad_table(self, write, tmp_path: Path, header: str, rows: list[str], message: str):
        write(("path",)).write_text("\n".join([header, *rows]))
        with pytest.raises(CorpusError, match=rf"table\.csv.*{message}") as raised:
            data.load("csv", tmp_path)
        assert "\n" not in str(raised.value)

    def test_not_text(self, tmp_path: Path):
        (tmp_path / "table.csv").write_bytes(b"path,emotion\n\xff\xfe\x00,x")
        with pytest.raises(CorpusError, match="is not a CSV file in UTF-8"):
            data.load("csv", tmp_path)
