"""Tables as spreadsheets, data-frame libraries and other computers write them."""

import contextlib
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serjax import data
from serjax.data import tables
from serjax.data.corpus import CorpusError, Utterance
from serjax.data.tables import TableError
from tests.helpers.trees import touch

PLAIN = "path,emotion,start,end\na.wav,anger,0.5,1.5\ndeep/b.wav,joy,,\n"
EXPECTED = (Utterance("a.wav", "anger", start=0.5, end=1.5), Utterance("deep/b.wav", "joy"))


def lines(text: str, separator: str) -> str:
    return text.replace(",", separator)


# Ways to write the same table.
SAME = {
    "semicolons": lines(PLAIN, ";"),
    "tabs": lines(PLAIN, "\t"),
    "vertical bars": lines(PLAIN, "|"),
    "decimal commas": lines(PLAIN, ";").replace(".5", ",5"),
    "Excel's remark": "sep=;\r\n" + lines(PLAIN, ";"),
    "Windows line ends": PLAIN.replace("\n", "\r\n"),
    "old line ends": PLAIN.replace("\n", "\r"),
    "no last line end": PLAIN.rstrip(),
    "empty rows": PLAIN.replace("\n", "\n,,,\n\n") + ",,,\n" * 3,
    "empty columns": PLAIN.replace("\n", ",,\n"),
    "empty first column": "\n".join(f",{line}" for line in PLAIN.splitlines()),
    "index of pandas": "\n".join(
        f"{i},{line}" for i, line in zip(["", 0, 1], PLAIN.splitlines(), strict=True)
    ),
    "names of R's rows": "\n".join(
        f"{i}{line}" for i, line in zip(["", '"1",', '"2",'], PLAIN.splitlines(), strict=True)
    ),
    "upper case and spaces": PLAIN.replace("path,emotion", "Path , EMOTION"),
    "quotes": 'path,emotion,start,end\n"a.wav","anger","0.5","1.5"\n"deep/b.wav","joy","",""\n',
    "missing values": PLAIN.replace("joy,,", "joy,NaN,<NA>"),
    "times of audformat": "file,start,end,emotion\n"
    "a.wav,0 days 00:00:00.500000,0 days 00:00:01.500000,anger\n"
    "deep/b.wav,,NaT,joy\n",
    "times of subtitles": PLAIN.replace("0.5,1.5", '"00:00:00,500","00:00:01,500"'),
    "minutes": PLAIN.replace("0.5,1.5", "0:00.5,00:01.5"),
    "units": PLAIN.replace("0.5,1.5", "500 ms,1.5s"),
    "other names": "label,filename,start_time,end_time\nanger,a.wav,0.5,1.5\njoy,deep/b.wav,,\n",
    "repeated rows": PLAIN + "a.wav,anger,0.5,1.5\n",
    "backslashes": PLAIN.replace("deep/", "deep\\"),
    "dots": PLAIN.replace("a.wav", "./deep/../a.wav").replace("deep/b", "deep//b"),
    "a path of Windows": PLAIN.replace("a.wav", "D:\\corpora\\x\\a.wav").replace(
        "deep/b.wav", "d:\\Corpora\\x\\deep\\b.wav"
    ),
    "a path of Linux": PLAIN.replace("a.wav", "/data/x/a.wav").replace("deep/", "/data/x/deep/"),
    "a path below the project": PLAIN.replace("a.wav", "data/x/a.wav").replace(
        "deep/", "data/x/deep/"
    ),
    "a network drive": PLAIN.replace("a.wav", "\\\\nas\\x\\a.wav").replace(
        "deep/", "\\\\nas\\x\\deep\\"
    ),
    "another case": PLAIN.replace("a.wav", "A.WAV"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return touch(tmp_path, "a.wav", "deep/b.wav")


@pytest.mark.parametrize("way", SAME)
def test_the_same_table_in_many_ways(folder: Path, way: str):
    (folder / "table.csv").write_text(SAME[way], newline="")
    corpus = data.load("csv", folder)
    assert corpus.utterances == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings(folder: Path, encoding: str, separator: str):
    text = lines(PLAIN.replace("joy", "colère"), separator)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (folder / "table.csv").write_bytes((mark + text).encode(encoding))
    corpus = data.load("csv", folder)
    assert corpus.labels("emotion") == ["anger", "colère"]


def test_windows_1252_is_assumed_and_noted(folder: Path):
    (folder / "table.csv").write_bytes(PLAIN.replace("joy", "colère").encode("cp1252"))
    corpus = data.load("csv", folder)
    assert corpus.labels("emotion") == ["anger", "colère"]
    assert "table.csv is not in UTF-8: read as windows-1252" in corpus.notes


@pytest.mark.parametrize(
    ("way", "note"),
    [
        ("semicolons", "table.csv is separated by semicolons"),
        ("decimal commas", "read commas in numbers as decimal points"),
        ("missing values", "read cells as missing values: <NA> (1), NaN (1)"),
        ("other names", "read column filename as path"),
        ("repeated rows", "left out 1 rows that repeat another row"),
        ("backslashes", "read backslashes in the table's paths as slashes"),
        ("a path of Windows", r"left out D:\corpora\x\ at the beginning of the table's paths"),
        ("a path of Linux", "left out /data/x/ at the beginning of the table's paths"),
        ("another case", "that differ in case or Unicode form: a.wav for A.WAV"),
    ],
)
def test_notes_say_what_was_assumed(folder: Path, way: str, note: str):
    (folder / "table.csv").write_text(SAME[way], newline="")
    assert any(note in each for each in data.load("csv", folder).notes)


@pytest.mark.parametrize("spelling", sorted(tables.MISSING - {""}))
def test_missing_values_are_no_classes(folder: Path, spelling: str):
    (folder / "t.csv").write_text(
        f"path,emotion,speaker\na.wav,joy,{spelling}\ndeep/b.wav,{spelling},x\n"
    )
    corpus = data.load("csv", folder)
    assert corpus.utterances == (Utterance("a.wav", "joy"), Utterance("deep/b.wav", None, "x"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path;emotion;,path,emotion\n", "cannot tell whether commas or semicolons separate"),
        ("path;emotion;start\na.wav;x;0.5\ndeep/b.wav;x;0,5\n", "decimal points or decimal commas"),
        ('path,emotion,start\na.wav,x,"1,500"\n', "expected a number, found '1,500'"),
        (
            "file,filename,emotion\na.wav,b.wav,x\n",
            r"one column path, found \['file', 'filename'\]",
        ),
        ("path,emotion,start\na.wav,x,1.234,5\n", "line 2: expected 3 cells, found 4"),
        ("path,emotion,start\na.wav,x,-1\n", "column start: expected 0 or more"),
        ("path,emotion\na.wav,x\nC:\\here\\a.wav,y\n", r"line 3, column path: no file"),
        ("path,emotion\nNA,x\n", "line 2, column path: is empty"),
        ("path,emotion\n/x/train/a.wav,x\n/x/test/a.wav,y\n", "line 3, column path: no file"),
        (b"PK\x03\x04", "found a workbook of Excel or OpenDocument; export it as CSV"),
        (b"PAR1\x15", "found a Parquet file"),
        (b"\x1f\x8b\x08", "found a compressed file"),
        (b"\xff\xfea", "is not a CSV file in utf-16"),
    ],
)
def test_what_is_ambiguous_is_refused_in_a_line(folder: Path, content: str | bytes, message: str):
    (folder / "table.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CorpusError, match=message) as raised:
        data.load("csv", folder)
    assert "\n" not in str(raised.value)
    assert "table.csv" in str(raised.value)


def test_newlines_in_quotes(folder: Path):
    touch(folder, "new\nline.wav")
    (folder / "t.csv").write_text('path,emotion,text\n"new\nline.wav",joy,"one\ntwo"\na.wav,x,\n')
    first, second = data.load("csv", folder).utterances
    assert (second.path, second.text) == ("new\nline.wav", "one\ntwo")
    assert first.path == "a.wav"
    (folder / "t.csv").write_text('path,emotion\n"new\nline.wav",joy\nb.wav,x\n')
    with pytest.raises(CorpusError, match="line 4, column path: no file"):
        data.load("csv", folder)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_in_another_unicode_form(folder: Path, forms: tuple[str, str]):
    in_table, on_disk = (unicodedata.normalize(form, "colère.wav") for form in forms)
    touch(folder, on_disk)
    (folder / "t.csv").write_text(f"path,emotion\n{in_table},colère\na.wav,joy\n")
    corpus = data.load("csv", folder)
    assert on_disk in corpus.column("path")
    touch(folder, in_table)
    assert in_table in data.load("csv", folder).column("path")
    touch(folder, on_disk.upper())
    (folder / in_table).unlink()
    with pytest.raises(CorpusError, match="expected one recording of this name, found"):
        data.load("csv", folder)


def test_names_that_are_not_utf_8_are_bytes(folder: Path):
    name = os.fsdecode(b"col\xe8re.wav")
    touch(folder, name)
    (folder / "t.csv").write_bytes(b"path,emotion\ncol\xe8re.wav,joy\n")
    assert data.load("csv", folder).column("path") == [name]


def test_an_absolute_path_below_the_folder_is_relative(folder: Path):
    (folder / "t.csv").write_text(f"path,emotion\n{folder / 'a.wav'},joy\n")
    assert data.load("csv", folder).column("path") == ["a.wav"]


def test_a_link_that_leads_nowhere_is_named(folder: Path):
    (folder / "c.wav").symlink_to("/nowhere/c.wav")
    (folder / "t.csv").write_text("path,emotion\nc.wav,joy\n")
    with pytest.raises(CorpusError, match=r"c\.wav is a link that leads nowhere, to /nowhere/c"):
        data.load("csv", folder)


def test_the_only_table_with_the_columns_is_read(folder: Path):
    (folder / "labels.tsv").write_text(lines(PLAIN, "\t"))
    (folder / "speakers.csv").write_text("speaker,age\n1,30\n")
    corpus = data.load("csv", folder)
    assert corpus.utterances == EXPECTED
    assert "read labels.tsv, which has the columns, and not speakers.csv" in corpus.notes


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=8)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=4), st.sampled_from(",;\t|"))
def test_any_text_is_read_or_refused_in_a_line(tmp_path_factory, rows, separator):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    header = separator.join(("path", "emotion", "start"))
    text = "\n".join([header, *(separator.join(row) for row in rows)])
    path.write_bytes(text.encode())
    # Any error but the one that names the file fails the test.
    with contextlib.suppress(TableError):
        table = tables.read(path, {"path": (), "emotion": (), "start": ()}, ("path",), ("start",))
        for row in table.rows:
            table.seconds(row, "start")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_a_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"bytes\.csv"):
        tables.read(path, {"path": (), "emotion": ()}, ("path", "emotion"))


def test_a_database_of_audformat_has_the_speakers_in_another_table(folder: Path):
    (folder / "db.yaml").write_text("name: made\n")
    (folder / "db.emotion.csv").write_text("file,emotion\na.wav,anger\ndeep/b.wav,joy\n")
    (folder / "db.files.csv").write_text(
        "file,duration,speaker,transcription\na.wav,0 days 00:00:01,3,x\ndeep/b.wav,,8,y\n"
    )
    (folder / "db.speaker.csv").write_text("speaker,age\n3,31\n8,34\n")
    (folder / "db.turns.csv").write_text("file,session\na.wav,1\na.wav,2\n")
    corpus = data.load("csv", folder)
    assert corpus.utterances == (
        Utterance("a.wav", "anger", "3", "x"),
        Utterance("deep/b.wav", "joy", "8", "y"),
    )
    assert "took column speaker from db.files.csv" in corpus.notes
    (folder / "db.yaml").unlink()
    assert data.load("csv", folder).labels("speaker") == []
