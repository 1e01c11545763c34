"""Output of `serjax predict`: names that a terminal or a spreadsheet would obey are shown."""

import csv
import io
import json

import pytest

from serjax.cli import predict

CLASSES = ["=1+1", "x\x1b[2Jy", "[red]", "ruhig"]
ROWS = [("-a\n\x07.wav", [0.7, 0.1, 0.1, 0.1]), ("ü.wav", [0.1, 0.2, 0.6, 0.1])]
# What a terminal obeys, and line breaks within names.
FORBIDDEN = "\x1b\x07\r"


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_no_format_prints_control_characters(form, capsys):
    getattr(predict, f"_print_{form}")(CLASSES, ROWS)
    output = capsys.readouterr().out
    assert not set(FORBIDDEN) & set(output)
    if form == "table":
        header, first, second = output.splitlines()
        assert header.split()[2::2] == ["=1+1", r"x\x1b[2Jy", "[red]", "ruhig"]
        assert first.split() == [r"-a\n\x07.wav", "=1+1", "70.0", "10.0", "10.0", "10.0"]
        assert second.split()[:2] == ["ü.wav", "[red]"]
    elif form == "csv":
        header, first, second = csv.reader(io.StringIO(output))
        assert header[2:] == ["p_=1+1", r"p_x\x1b[2Jy", "p_[red]", "p_ruhig"]
        assert first[:3] == [r"'-a\n\x07.wav", "'=1+1", "0.7"]
        assert second[:2] == ["ü.wav", "[red]"]
    else:
        first, second = json.loads(output)
        assert (first["file"], first["predicted"]) == (ROWS[0][0], "=1+1")
        assert list(second["probabilities"]) == CLASSES
