"""Files below a folder: what systems add, what cannot be read, and what looks like sound."""

import os
import shutil
from pathlib import Path

import pytest
import soundfile

from serjax import audio, data
from serjax.data.corpus import CorpusError
from serjax.data.listing import is_system_name, list_files
from tests.helpers import trees
from tests.helpers.trees import touch, write_tone

# Files and folders that systems add next to recordings, of a name that a loader could take.
ADDED = (
    *("__MACOSX/{}", "@eaDir/{}", "#recycle/{}", "$RECYCLE.BIN/S-1-5/{}", "lost+found/{}"),
    *(".Trash-1000/files/{}", ".Trashes/501/{}", "System Volume Information/{}", "._{}", "~${}"),
    *(".AppleDouble/{}", "@Recycle/{}", ".ipynb_checkpoints/{}", ".git/annex/{}", "PaxHeader/{}"),
    *("RECYCLER/{}", "found.000/{}", "@Recently-Snapshot/{}", "{}:Zone.Identifier"),
)
TREES = {
    "cremad": "AudioWAV/1001_IEO_ANG_LO.wav",
    "emodb": "wav/03a01Wa.wav",
    "folder": "anger/a.wav",
    "fsdd": "recordings/7_jackson_32.wav",
    "ravdess": "Actor_12/03-01-06-01-02-01-12.wav",
    "savee": "AudioData/DC/a01.wav",
    "speech_commands": "yes/0a7c2a8d_nohash_0.wav",
    "tess": "OAF_angry/OAF_back_angry.wav",
    "voxceleb": "wav/id10001/1zcIwhmdeo4/00001.wav",
}


def added(recording: str) -> list[str]:
    """Returns the paths that systems add around a recording, at the top and next to it."""
    folder, _, name = recording.rpartition("/")
    return [f"{prefix}{form.format(name)}" for prefix in ("", f"{folder}/") for form in ADDED]


@pytest.mark.parametrize("name", TREES)
def test_what_systems_add_is_skipped_and_noted_in_every_loader(name: str, tmp_path: Path):
    touch(tmp_path, TREES[name], *added(TREES[name]), "Thumbs.db", "desktop.ini", ".DS_Store")
    corpus = data.load(name, tmp_path)
    assert corpus.column("path") == [TREES[name]]
    (note,) = corpus.notes
    assert note.startswith("skipped ")
    assert "hidden files and folders" in note


def test_tables_that_systems_add_are_skipped(tmp_path: Path):
    tree = trees.iemocap(tmp_path / "iemocap", {1: {"ang": 3, "neu": 3}})
    expected = data.load("iemocap", tree).utterances
    for folder in ("@eaDir", "$RECYCLE.BIN"):
        shutil.copytree(tree / "Session1", tree / folder / "Session1")
    assert data.load("iemocap", tree).utterances == expected
    touch(tmp_path, "a.wav", "._t.csv", "~$t.csv", ".~lock.t.csv#")
    (tmp_path / "t.csv").write_text("path,emotion\na.wav,calm\n")
    assert len(data.load("csv", tmp_path)) == 1
    stored = tmp_path / "stored"
    data.build("synthetic", None, stored, speakers=3, words=1)
    shutil.copytree(stored / "serjax_synthetic", stored / "#recycle" / "serjax_synthetic")
    assert len(data.load("tfds", stored)) == 12


@pytest.mark.parametrize("name", ["anger", "a.wav", "Recycle", "macosx", "lost", "tmp", "a~b"])
def test_other_names_are_no_system_names(name: str):
    assert not is_system_name(name)


@pytest.mark.parametrize("suffix", audio.SUFFIXES)
def test_every_format_that_is_read_is_a_recording(suffix: str, tmp_path: Path):
    touch(tmp_path, f"anger/a{suffix}", f"anger/b{suffix.upper()}", f"03a01Wa{suffix}")
    assert len(data.load("folder", tmp_path)) == 2
    assert len(data.load("emodb", tmp_path)) == 1


@pytest.mark.parametrize("suffix", [".au", ".caf", ".oga", ".opus", ".w64", ".wave", ".aifc"])
def test_formats_of_libsndfile_are_read(suffix: str, tmp_path: Path):
    kinds = {".oga": "OGG", ".opus": "OGG", ".wave": "WAV", ".aifc": "AIFF"}
    write_tone(tmp_path / "calm" / "a.wav", seconds=0.2)
    samples, rate = soundfile.read(tmp_path / "calm" / "a.wav")
    kind = kinds.get(suffix, suffix[1:].upper())
    subtype = "OPUS" if suffix == ".opus" else None
    soundfile.write(tmp_path / "calm" / f"b{suffix}", samples, rate, subtype, format=kind)
    _, waveforms = data.waveforms(data.load("folder", tmp_path))
    assert [len(waveform) for waveform in waveforms] == [3200, 3200]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("top.wav", "of sound which are not in a sub-folder: top.wav"),
        ("anger/a.ra", "of sound in formats that are not read: anger/a.ra"),
        ("anger/a.wav.part", "whose names go on after the suffix of an audio format: anger/a.wav"),
        ("anger/a.flac.gz", "whose names go on after the suffix of an audio format: anger/a.flac"),
        ("anger/bare", "of sound whose names lack the suffix of an audio format: anger/bare"),
        ("anger/deep/link", "which are links that lead nowhere: anger/deep/link"),
        ("anger/notes.txt", "ignored 1 files that are no recordings"),
    ],
)
def test_what_is_left_out_is_named_with_its_reason(path: str, reason: str, tmp_path: Path):
    touch(tmp_path, "anger/ok.wav", path)
    if path.endswith("bare"):
        (tmp_path / path).write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    if path.endswith("link"):
        (tmp_path / path).unlink()
        (tmp_path / path).symlink_to("/nowhere/at/all")
    corpus = data.load("folder", tmp_path)
    assert len(corpus) == 1
    (note,) = corpus.notes
    assert reason in note


def test_published_corpora_name_what_they_leave_out(tmp_path: Path):
    touch(tmp_path, "03a01Wa.wav", "copy/03a01Wa.wav", "deep/03a01Wa.mp3", "mixed down.flac")
    touch(tmp_path, "03a01Wa.flv")
    (tmp_path / "03a01Wa.aiff").symlink_to("/nowhere")
    assert data.load("emodb", tmp_path).notes == (
        "left out 1 files of sound which are not named as EMO-DB's are: mixed down.flac",
        "dropped 4 files whose name another file has, and kept one of each: 03a01Wa.aiff, "
        "03a01Wa.flv, copy/03a01Wa.wav, deep/03a01Wa.mp3",
    )


def test_a_link_in_the_place_of_an_emotion_leads_nowhere(tmp_path: Path):
    touch(tmp_path, "anger/a.wav")
    (tmp_path / "sadness").symlink_to("/mnt/gone")
    with pytest.raises(CorpusError, match="sadness is a link that leads nowhere, to /mnt/gone"):
        data.load("folder", tmp_path)


def test_a_link_in_the_place_of_a_recording_is_refused_when_it_is_read(tmp_path: Path):
    write_tone(tmp_path / "anger" / "a.wav")
    (tmp_path / "anger" / "b.wav").symlink_to(".git/annex/objects/x")
    corpus = data.load("folder", tmp_path)
    assert len(corpus) == 2
    with pytest.raises(ValueError, match=r"b\.wav: is a link that leads nowhere"):
        data.waveforms(corpus)


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch):
    """Forbids the reading of a folder, even to the superuser."""
    scan = os.scandir

    def forbid(folder: Path) -> None:
        def scandir(path):
            if os.fspath(path) == os.fspath(folder):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return forbid


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, forbid):
    touch(tmp_path, "anger/a.wav", "anger/more/b.wav", "sadness/a.wav")
    forbid(tmp_path / "anger" / "more")
    expected = "left out folder anger/more, which cannot be read: Permission denied"
    assert data.load("folder", tmp_path).notes == (expected,)
    touch(tmp_path, "03a01Wa.wav")
    assert expected in data.load("emodb", tmp_path).notes
    forbid(tmp_path / "sadness")
    with pytest.raises(CorpusError, match="sadness cannot be read: Permission denied"):
        data.load("folder", tmp_path)
    forbid(tmp_path)
    for name in ("folder", "emodb"):
        with pytest.raises(CorpusError, match="expected a folder that can be read, found: Permiss"):
            data.load(name, tmp_path)


def test_linked_folders_are_followed_once(tmp_path: Path):
    touch(tmp_path / "there", "a.wav")
    touch(tmp_path / "here", "anger/b.wav")
    (tmp_path / "here" / "anger" / "linked").symlink_to(tmp_path / "there")
    (tmp_path / "here" / "anger" / "loop").symlink_to(tmp_path / "here")
    assert list_files(tmp_path / "here").paths == ("anger/b.wav", "anger/linked/a.wav")


@pytest.mark.parametrize("content", [b"\xe8\xff", None], ids=["no UTF-8", "unreadable"])
def test_lists_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None):
    touch(tmp_path, "84/1/84-1-0000.flac", "84/1/84-1.alignment.txt", "go/1a_nohash_0.wav")
    lists = [tmp_path / f"{name}_list.txt" for name in ("validation", "testing")]
    for path in (tmp_path / "84/1/84-1.alignment.txt", *lists):
        if content is None:
            path.unlink(missing_ok=True)
            path.symlink_to("/proc/self/mem")  # it may not be read
        else:
            path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"84-1\.alignment\.txt"):
        data.load("librispeech_words", tmp_path)
    if content is None:
        with pytest.raises(CorpusError, match=r"validation_list\.txt: expected a file that can"):
            data.load("speech_commands", tmp_path)
    else:
        assert data.load("speech_commands", tmp_path).labels("session") == ["train"]
