"""Stored corpora that are damaged or somebody else's: read right, or refused in a line."""

import collections
import errno
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serjax import audio, data
from serjax.data.corpus import Corpus, CorpusError, Utterance
from serjax.data.storage import builder, store
from serjax.data.storage.store import Stored
from serjax.errors import InputError
from serjax.files import locks
from tests.helpers.damage import damaged, is_line
from tests.helpers.trees import write_tone

import tensorflow_datasets as tfds  # isort: skip

SHARDS = "serjax_savee-train.array_record-0000"


def _corpus(name: str = "savee") -> Corpus:
    """Returns utterances of noise, the labels of which are stored as TFDS's `ClassLabel`."""
    utterances = [
        Utterance(f"{i}.wav", emotion=("anger", "fear", None)[i % 3], speaker="a", start=0.5 * i)
        for i in range(6)
    ]

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        number = int(utterance.path[0])
        draw = np.random.default_rng(number)
        return draw.integers(-32768, 32768, 400 + 7 * number).astype(np.float32) / 32768

    return Corpus(name, tuple(utterances), read, ("a note",))


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """Folder of a dataset with two files of records."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "_RECORDS_PER_FILE", 4)
        return Path(builder.write(_corpus(), tmp_path_factory.mktemp("stored")).data_dir)


@pytest.fixture
def folder(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "serjax_savee/16000hz/1.0.0"))


def _change(file: Path, change: Callable[[Any], object], *, checksum: bool = True) -> None:
    """Changes a JSON file; as somebody would who knows the checksum."""
    content = json.loads(file.read_text())
    change(content)
    if checksum:
        content["checksum"] = store.checksum(content)
    file.write_text(json.dumps(content))


def _refusal(folder: Path) -> str:
    with pytest.raises(InputError) as error:
        data.load("tfds", folder)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "where",
    [
        lambda features: features,
        lambda features: features["featuresDict"]["features"]["audio"],
        lambda features: features["featuresDict"]["features"]["label"],
        lambda features: features["featuresDict"]["features"].setdefault("more", {"text": {}}),
    ],
)
def test_a_foreign_description_imports_nothing(folder, where, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])

    def plant(features: Any) -> None:
        where(features)["pythonClassName"] = "planted.Class"

    _change(folder / "features.json", plant, checksum=False)
    assert "expected the fields that serjax writes, found others" in _refusal(folder)
    with pytest.raises(CorpusError, match="expected the fields that serjax writes"):
        builder.write(_corpus(), tmp_path)
    write_tone(tmp_path / "in/DC_a01.wav")
    with pytest.raises(CorpusError, match="expected the fields that serjax writes"):
        tfds.builder("serjax_savee", recordings=tmp_path / "in", data_dir=tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(samples=[2**40, *m["samples"][1:]]), "samples: expected 0 to"),
        (lambda m: m.update(samples=[-1, *m["samples"][1:]]), "samples: expected 0 to"),
        (lambda m: m.update(samples=[1.5, *m["samples"][1:]]), "samples.0.: expected a whole"),
        (lambda m: m.update(samples=[10**400]), "expected numbers below"),
        (lambda m: m.update(samples=[]), "expected one value for each of 0 utterances"),
        (lambda m: m["samples"].append(3), "expected one value for each of 7 utterances"),
        (lambda m: m["content"].pop(), "expected one value for each of 6 utterances"),
        (lambda m: m.update(sample_rate=0), "sample_rate: expected a whole number from 1"),
        (lambda m: m.update(corpus=["savee"]), "corpus: expected a text, found a list"),
        (lambda m: m.update(corpus="../x"), "classes: expected the labels of the column None"),
        (lambda m: m.pop("table"), "expected table, found none"),
        (lambda m: m["table"].pop("start"), "table: expected columns path, emotion"),
        (lambda m: m["table"].update(path=[None] * 6), "table.path: expected texts"),
        (lambda m: m["table"].update(start=["x"] * 6), "table.start: expected numbers"),
        (lambda m: m["table"].update(start=[-1] * 6), "expected starts of at least 0"),
        (lambda m: m["table"].update(end=[0.25] * 6), "expected starts of at least 0"),
        (lambda m: m["table"].update(emotion=["joy"] * 6), "expected the labels of the column"),
        (lambda m: m.update(notes=[{}]), "notes.0.: expected a text"),
        (lambda m: m.update(notes=json.loads("[" * 50 + "]" * 50)), "nested at most 32 deep"),
    ],
)
def test_foreign_metadata_is_refused(folder, change, message):
    _change(folder / "metadata.json", change)
    assert message.replace(".0.", "[0]") in _refusal(folder)


@pytest.mark.parametrize("name", ["metadata.json", "features.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 10**6, b'{"a": NaN}'])
def test_other_content_is_refused(folder, name, content):
    (folder / name).write_bytes(content)
    assert name in _refusal(folder)


def test_changed_metadata_is_noticed(folder):
    for change in (
        lambda m: m["table"]["speaker"].__setitem__(0, "b"),
        lambda m: m["content"].__setitem__(0, m["content"][1]),
        lambda m: m.update(notes=[]),
    ):
        _change(folder / "metadata.json", change, checksum=False)
        assert "checksum differs" in _refusal(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["samples"].__setitem__(0, 401),  # another length
        lambda m: m["table"]["start"].__setitem__(0, 0.25),  # another place in the recording
        lambda m: m["table"]["path"].__setitem__(0, "7.wav"),
        lambda m: m["table"]["emotion"].__setitem__(0, "fear"),
        lambda m: m["table"]["speaker"].__setitem__(0, "b"),
    ],
)
def test_a_record_that_differs_from_the_table_is_refused(folder, change):
    _change(folder / "metadata.json", change)
    corpus = data.load("tfds", folder)
    with pytest.raises(audio.AudioError, match=r"in record 0 of the stored savee, found another"):
        data.waveforms(corpus)
    kept, waveforms = data.waveforms(corpus, skip_bad_files=True)
    assert len(kept) == len(waveforms) == 5
    assert "skipped, can't be read: " in kept.notes[-1]


def test_files_of_records_are_all_there_and_in_order(folder):
    first, second = folder / f"{SHARDS}0", folder / f"{SHARDS}1"
    contents = first.read_bytes(), second.read_bytes()
    second.unlink()
    assert "expected 6 records, as metadata.json says, found 4" in _refusal(folder)
    second.write_bytes(contents[0])
    assert "expected 6 records, as metadata.json says, found 8" in _refusal(folder)
    first.write_bytes(contents[1])
    with pytest.raises(audio.AudioError, match="found another utterance"):
        data.waveforms(data.load("tfds", folder))
    first.unlink()
    assert "array_record-00000 and following, found serjax_savee" in _refusal(folder)
    first.write_bytes(b"")
    assert "cannot be read" in _refusal(folder)


def test_damaged_records_are_skipped_if_asked(folder):
    file = folder / f"{SHARDS}0"
    content = bytearray(file.read_bytes())
    for position in range(1000, 1100):
        content[position] ^= 0xFF
    file.write_bytes(content)
    corpus = data.load("tfds", folder)
    with pytest.raises(audio.AudioError, match=r"record [0-3] is damaged: "):
        data.waveforms(corpus)
    kept, waveforms = data.waveforms(corpus, skip_bad_files=True)
    assert 2 <= len(kept) < 6
    expected = {u.path: _corpus().read(u, 16000) for u in _corpus().utterances}
    for utterance, waveform in zip(kept.utterances, waveforms, strict=True):
        np.testing.assert_array_equal(waveform, expected[utterance.path])


@pytest.mark.parametrize("name", ["savee", "plain", "a.b[c]", "ä"])
def test_names_that_are_not_utf_8_come_back(tmp_path, name):
    corpus = _corpus(name)
    path = b"J\xfcrgen\n\x1b.wav".decode("utf-8", "surrogateescape")
    odd = Utterance(path, emotion="anger", speaker="b\udcff")
    stored = Corpus(name, (odd,), lambda *_: np.ones(10, np.float32) / 2, corpus.notes)
    builder.write(stored, tmp_path)
    back = data.load("tfds", tmp_path)
    assert back.utterances == (odd,)
    assert back.read(odd, 16000).tolist() == [0.5] * 10


def test_a_rating_that_is_not_a_number_is_a_missing_one(tmp_path):
    rated = Utterance("a.wav", emotion="anger", valence=float("nan"), activation=0.5)
    corpus = Corpus("rated", (rated,), lambda *_: np.ones(10, np.float32) / 2)
    builder.write(corpus, tmp_path)
    (back,) = data.load("tfds", tmp_path).utterances
    assert (back.valence, back.activation) == (None, 0.5)
    assert data.load("tfds", tmp_path).read(back, 16000).shape == (10,)


def test_two_writers_of_one_dataset(tmp_path):
    place = tmp_path / "serjax_savee/16000hz"
    place.mkdir(parents=True)
    leftover = place / "incomplete.ABCDEF_1.0.0"
    leftover.mkdir()
    with (
        locks.locked(place / ".1.0.0.lock", "busy"),
        pytest.raises(InputError, match=r"1\.0\.0: another process is writing the corpus there"),
    ):
        builder.write(_corpus(), tmp_path)
    assert leftover.exists()  # it is the other's
    builder.write(_corpus(), tmp_path)
    assert len(data.load("tfds", tmp_path)) == 6


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_that_cannot_be_written_to_leaves_no_dataset(tmp_path, monkeypatch, code):
    class Writer:
        def __init__(self, path: str, options: str) -> None:
            self._path = path

        def write(self, record: bytes) -> None:
            pass

        def close(self) -> None:
            # As array_record raises it, from status codes in C++.
            raise RuntimeError(
                f"write() failed: {os.strerror(code)}; writing {self._path}; at byte"
            )

    monkeypatch.setattr(builder, "ArrayRecordWriter", Writer)
    with pytest.raises(OSError, match=SHARDS) as error:
        builder.write(_corpus(), tmp_path)
    assert error.value.errno == code
    assert not list(tmp_path.rglob("dataset_info.json"))
    monkeypatch.undo()
    builder.write(_corpus(), tmp_path)
    assert len(data.load("tfds", tmp_path)) == 6


def _content(stored: Stored) -> tuple[Any, ...]:
    table = (stored.name, stored.sample_rate, stored.utterances, stored.content, stored.notes)
    return (*table, tuple(stored.samples), stored.classes)


@pytest.mark.slow
def test_fuzz_stores(original, tmp_path, record_property):
    """3,000 damaged stores: each waveform is right or refused in a line, by seed and budget."""
    expected = data.open_stored(original)
    waveforms = [expected.waveform(i) for i in range(len(expected.samples))]
    table = _content(expected)
    folder = Path(shutil.copytree(original, tmp_path / "1.0.0"))
    files = sorted(path for path in folder.iterdir() if path.is_file())
    # serjax reads no other file than these.
    files += [path for path in files if path.name.startswith(SHARDS)] * 2
    files += [folder / "metadata.json"] * 2 + [folder / "features.json"]
    outcomes: collections.Counter[str] = collections.Counter()
    for number in range(3000):
        draw = random.Random(number)
        file = draw.choice(files)
        content = file.read_bytes()
        file.write_bytes(damaged(content, draw, is_json=file.suffix == ".json"))
        refused = 0
        try:
            stored = data.open_stored(folder)
            for index, waveform in enumerate(waveforms):
                try:
                    np.testing.assert_array_equal(stored.waveform(index), waveform)
                except InputError as error:
                    refused += is_line(error)
            assert _content(stored) == table, number
            outcomes["record refused" if refused else "read"] += 1
        except InputError as error:
            outcomes["refused"] += is_line(error)
        file.write_bytes(content)
    print(f"fuzz stores: {sum(outcomes.values())} tried, {dict(outcomes)}")
    record_property("outcomes", dict(outcomes))
    assert sum(outcomes.values()) == 3000
