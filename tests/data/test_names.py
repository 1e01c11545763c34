"""Names of files and labels: bytes, Unicode forms, control characters."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from serjax import data
from serjax.data.corpus import Corpus, Utterance
from tests.helpers.trees import touch, write_tone

FORMS = ("NFC", "NFD")


def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
    return np.zeros(sample_rate, np.float32)


def test_labels_in_two_unicode_forms_are_one(tmp_path: Path):
    for number, form in enumerate(FORMS):
        touch(tmp_path, f"{unicodedata.normalize(form, 'Colère')}/{number}.wav", "calm/a.wav")
    assert data.load("folder", tmp_path).labels("emotion") == ["calm", "colère"]
    names = [unicodedata.normalize(form, "é") for form in FORMS]
    utterances = tuple(
        Utterance(f"{name}.wav", emotion=name, speaker=name, text=name, session=name)
        for name in names
    )
    corpus = Corpus("made", utterances, read)
    for column in ("emotion", "speaker", "text", "session"):
        assert corpus.labels(column) == ["é"]
    assert sorted(corpus.column("path")) == sorted(f"{name}.wav" for name in names)


@pytest.mark.parametrize(
    "name",
    [
        os.fsdecode(b"col\xe8re"),
        "an\nger",
        "tab\tbed",
        "\x1b[31mred",
        "愤怒",
        "'quoted\"",
        "a,b;c",
        "[bold]x[]",
        "=1+1",
        "%s{0}",
        "-dash",
        "back\\slash",
    ],
)
def test_any_name_of_a_folder_and_a_file_is_read(name: str, tmp_path: Path):
    write_tone(tmp_path / "calm" / "a.wav")
    write_tone(tmp_path / "calm" / "b.wav")
    (tmp_path / "calm" / "b.wav").rename(tmp_path / "calm" / f"{name}.wav")
    (tmp_path / "calm").rename(tmp_path / name)
    corpus, waveforms = data.waveforms(data.load("folder", tmp_path))
    assert sorted(corpus.column("path")) == sorted([f"{name}/a.wav", f"{name}/{name}.wav"])
    assert [len(waveform) for waveform in waveforms] == [1600, 1600]
    stored = data.build("folder", tmp_path, tmp_path / "stored")
    again, _ = data.waveforms(data.load("tfds", stored.data_path))
    assert again.utterances == corpus.utterances


def test_spaces_around_the_name_of_a_folder_are_no_part_of_the_emotion(tmp_path: Path):
    touch(tmp_path, "anger /a.wav", "Anger/b.wav")
    assert data.load("folder", tmp_path).labels("emotion") == ["anger"]
