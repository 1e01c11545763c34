"""Reading of corpora that are stored as TFDS datasets.

`serjax.data.storage.builder` writes a dataset as array_record files of utterances, which are read
by random access. `metadata.json` holds the table and the length and hash of each waveform, so that
opening a dataset reads no waveform. TensorFlow is not needed.

A dataset may come from somebody else or from a damaged disk. Its description is checked before
anything else reads it, its table by a checksum, and each record, when it is read, against the
table.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import numpy as np

from serjax.audio import AudioError
from serjax.data.corpus import CorpusError, Utterance
from serjax.data.listing import is_system_name
from serjax.data.storage import fields
from serjax.data.storage.fields import field_names
from serjax.data.storage.records import Records
from serjax.errors import InputError
from serjax.files import json_hash, read_json
from serjax.files.schema import Range

_WANTED = "expected a folder that `serjax corpus NAME --data-dir P --write FOLDER` wrote"
# The writer of records counts the bytes of one with 31 bits.
_MAX_SAMPLES = 2**30


class Metadata(TypedDict):
    """Content of `metadata.json`.

    Attributes:
        corpus: Name of the corpus.
        sample_rate: Sample rate of the waveforms, in Hz.
        written_from: Hash of the table that the corpus had before bad files were skipped.
        classes: Names of the classes, see `serjax.data.storage.fields.features`.
        table: Columns of the written utterances.
        samples: Number of samples of each waveform.
        gain: Factor by which each waveform was amplified, so that a quiet one keeps its bits.
        content: Identity of each waveform, see `serjax.data.splits.content_id`.
        notes: Remarks of the loader and of the writing, one line each.
        checksum: Hash of all else, see `checksum`.
    """

    corpus: str
    sample_rate: Annotated[int, Range(1, 2**31)]
    written_from: str
    table: dict[str, list]  # columns are checked at once, not value by value
    samples: list[int]
    gain: list[float]
    content: list[str]
    notes: list[str]
    classes: list[str] | None
    checksum: str


@dataclasses.dataclass(frozen=True)
class Stored:
    """A corpus stored as a TFDS dataset.

    Attributes:
        name: Name of the corpus.
        sample_rate: Sample rate of the waveforms, in Hz.
        utterances: Utterances in the order of the records.
        samples: `[utterances]` int64, number of samples of each waveform.
        gain: `[utterances]` float64, factor by which each waveform was amplified.
        content: Identity of each waveform, see `serjax.data.splits.content_id`.
        notes: Remarks of the loader and of the writing, one line each.
        classes: Names of the classes, see `serjax.data.storage.fields.features`.
        source: Records by random access: dicts of the fields of `field_names`, with audio as int16
            `[samples]` and texts as bytes. It is safe to use in several threads, and to pickle.
    """

    name: str
    sample_rate: int
    utterances: tuple[Utterance, ...]
    samples: np.ndarray
    gain: np.ndarray
    content: tuple[str, ...]
    notes: tuple[str, ...]
    classes: tuple[str, ...] | None
    source: Sequence[Mapping[str, Any]]

    def waveform(self, index: int) -> np.ndarray:
        """Reads the waveform of a record.

        Args:
            index: Index of the utterance.

        Returns:
            int16 `[samples]`, amplified by `gain`.

        Raises:
            serjax.audio.AudioError: The record is damaged, or it is that of another utterance.
        """
        found = self.source[index]
        samples: np.ndarray = found[field_names(self.name)["audio"]]
        expected = fields.record(self.name, self.classes, self.utterances[index])
        if len(samples) != self.samples[index] or any(
            # A missing number is NaN, which differs from itself.
            found[name] != value and not (value != value and found[name] != found[name])
            for name, value in expected.items()
        ):
            raise AudioError(
                f"{self.utterances[index].identity}: expected {self.samples[index]} samples of it "
                f"in record {index} of the stored {self.name}, found another utterance"
            )
        return samples


def open_stored(folder: str | Path | None) -> Stored:
    """Opens a stored corpus. No waveform is read.

    Args:
        folder: Folder that the corpus was written to, or the folder of the dataset in it.

    Returns:
        The stored corpus.

    Raises:
        CorpusError: The folder does not hold exactly one dataset that serjax wrote, or it is
            damaged.
    """
    path = dataset_folder(folder)
    values = metadata(path)
    check_description(path, values)
    records = Records(path, values["corpus"], values["classes"])
    if len(records) != len(values["samples"]):
        raise CorpusError(
            f"{path}: expected {len(values['samples'])} records, as metadata.json says, found "
            f"{len(records)}"
        )
    return Stored(
        name=values["corpus"],
        sample_rate=values["sample_rate"],
        utterances=_utterances(values["table"]),
        samples=np.array(values["samples"], np.int64),
        gain=np.array(values["gain"], np.float64),
        content=tuple(values["content"]),
        notes=tuple(values["notes"]),
        classes=None if values["classes"] is None else tuple(values["classes"]),
        source=records,
    )


def metadata(path: Path) -> Metadata:
    """Reads the metadata of a dataset.

    Args:
        path: Folder of the dataset.

    Raises:
        CorpusError: The metadata is missing, incomplete or damaged.
    """
    file = path / "metadata.json"
    try:
        values = read_json(file, Metadata)
    except InputError as error:
        raise CorpusError(f"{error}; {_WANTED}") from error
    problem = _problem(values)
    if problem is None and values["checksum"] != checksum(values):
        problem = "checksum differs from the content, so the file is damaged"
    if problem is not None:
        raise CorpusError(f"{file}: {problem}; write the corpus again")
    return values


def checksum(values: Mapping[str, Any]) -> str:
    """Returns the hash of metadata, without their own checksum."""
    others = {key: value for key, value in values.items() if key != "checksum"}
    return json_hash(others)


def _problem(values: Metadata) -> str | None:
    """Describes the first column that does not fit the table; None if all do."""
    table, count = values["table"], len(values["samples"])
    if set(table) != {*fields.TEXTS, *fields.NUMBERS}:
        expected = ", ".join((*fields.TEXTS, *fields.NUMBERS))
        return f"table: expected columns {expected}, found {', '.join(sorted(table)) or 'none'}"
    lengths = {len(column) for column in (*table.values(), values["gain"], values["content"])}
    if lengths != {count} or not count:
        return f"expected one value for each of {count} utterances, found {sorted(lengths)}"
    for name, column in table.items():
        allowed = {str} if name == "path" else {str, type(None)}
        if name in fields.NUMBERS:
            allowed = {int, float, type(None)}
        if not {type(value) for value in column} <= allowed:
            kind = "numbers" if name in fields.NUMBERS else "texts"
            return f"table.{name}: expected {kind}, found other values"
    if min(values["samples"]) < 0 or max(values["samples"]) > _MAX_SAMPLES:
        return f"samples: expected 0 to {_MAX_SAMPLES}, found others"
    gains = np.array(values["gain"])
    if not ((gains > 0) & np.isfinite(gains)).all():
        return "gain: expected positive numbers, found others"
    starts, ends = (np.array(table[name], np.float64) for name in ("start", "end"))
    if (starts < 0).any() or (np.nan_to_num(starts) >= ends).any():
        return "table: expected starts of at least 0 before their ends, found others"
    labelled = fields.labelled_column(values["corpus"])
    labels = set() if labelled is None else {*table[labelled]} - {None}
    if (values["classes"] is None) != (labelled is None) or labels - {*(values["classes"] or ())}:
        return f"classes: expected the labels of the column {labelled}, found others"
    return None


def check_description(path: Path, values: Metadata) -> None:
    """Checks that `features.json` is the one that serjax writes.

    TFDS imports the classes that this file names, so a foreign one can run code.

    Args:
        path: Folder of the dataset.
        values: Its metadata.

    Raises:
        CorpusError: It is missing, or differs.
    """
    from google.protobuf import json_format  # type: ignore[import-untyped]

    expected = fields.features(values["corpus"], values["classes"]).to_proto()
    try:
        found = read_json(path / "features.json", dict[str, Any])
    except InputError as error:
        raise CorpusError(f"{error}; {_WANTED}") from error
    if found != json_format.MessageToDict(expected):
        raise CorpusError(
            f"{path / 'features.json'}: expected the fields that serjax writes, found others; "
            "write the corpus again"
        )


def dataset_folder(folder: str | Path | None) -> Path:
    """Finds the only dataset in a folder.

    Args:
        folder: Folder that the corpus was written to, or a folder in it: of the corpus, of the
            sample rate, or of the version, which is that of the dataset.

    Raises:
        CorpusError: The folder holds no dataset, or more than one.
    """
    if folder is None:
        raise CorpusError(f"tfds: no data directory given; {_WANTED}")
    root = Path(os.path.expanduser(folder))
    if not root.is_dir():
        raise CorpusError(f"tfds: data directory {root} is no folder; {_WANTED}")
    folders = sorted(
        info.parent
        for depth in range(4)
        for info in root.glob("*/" * depth + "dataset_info.json")
        if not info.parent.name.startswith("incomplete.")
        and not any(is_system_name(part) for part in info.relative_to(root).parts)
    )
    if len(folders) != 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in folders) or "none"
        raise CorpusError(f"tfds: expected one dataset in {root}, found {names}; {_WANTED}")
    return folders[0]


def _utterances(columns: Mapping[str, list[Any]]) -> tuple[Utterance, ...]:
    """Returns the utterances of a table."""
    rows = zip(*(columns[name] for name in (*fields.TEXTS, *fields.NUMBERS)), strict=True)
    return tuple(
        Utterance(**dict(zip((*fields.TEXTS, *fields.NUMBERS), row, strict=True))) for row in rows
    )
