"""Atomic writing of files."""

import os
from pathlib import Path

import pytest

from serjax.files import write_bytes_atomic, write_text_atomic


def test_content_replaces_the_former_content(tmp_path):
    path = tmp_path / "file"
    write_bytes_atomic(path, b"first, longer")
    write_bytes_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf8_with_unchanged_line_ends(tmp_path):
    write_text_atomic(tmp_path / "file", "é\r\n\udcff\n")
    assert (tmp_path / "file").read_bytes() == "é".encode() + b"\r\n\xff\n"


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failed_write_changes_nothing(tmp_path, monkeypatch, function):
    path = tmp_path / "file"
    path.write_bytes(b"former")

    def fail(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if function == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="No space left on device"):
        write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text_atomic(tmp_path / "missing" / "file", "text")
