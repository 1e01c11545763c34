"""Records of a stored corpus, read by random access."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from serjax.audio import AudioError
from serjax.data.corpus import CorpusError
from serjax.data.storage import fields
from serjax.errors import first_line


class Records(Sequence[Mapping[str, Any]]):
    """Records of a stored corpus: dicts of the fields of `serjax.data.storage.fields`.

    Audio is int16 `[samples]`, texts are bytes. Records can be read from several threads, and the
    sequence can be pickled.

    The files are read with the types that serjax writes, whatever `features.json` next to them
    says: TFDS imports the classes that it names.

    Args:
        folder: Folder of the dataset.
        corpus: Name of the corpus.
        classes: Names of the classes, see `serjax.data.storage.fields.features`.

    Raises:
        CorpusError: There are no files of records, some are missing, or one cannot be opened.
    """

    def __init__(self, folder: Path, corpus: str, classes: Sequence[str] | None) -> None:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._arguments = folder, corpus, classes
        self._folder = folder
        self._features = fields.features(corpus, classes)
        files = _files(folder, corpus)
        try:
            self._records = ArrayRecordDataSource([str(file) for file in files])
        except Exception as error:  # of a library in C++, which declares none
            raise CorpusError(f"{folder}: cannot be read: {_reason(error)}") from error

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        """Reads a record.

        Raises:
            serjax.audio.AudioError: The record is damaged.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)  # which ends an iteration
        number = int(index) % len(self)
        try:
            content: dict[str, Any] = self._features.deserialize_example_np(self._records[number])
        except Exception as error:  # of three libraries, which declare none
            raise AudioError(
                f"{self._folder}: record {number} is damaged: {_reason(error)}"
            ) from error
        return content

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return Records, self._arguments


def _files(folder: Path, corpus: str) -> list[Path]:
    """Returns the files of records, in the order of their numbers, which have no gaps."""
    pattern = re.compile(rf"serjax_{re.escape(corpus)}-{fields.SPLIT}\.array_record-(\d{{5,}})")
    matches = {path: pattern.fullmatch(path.name) for path in folder.iterdir()}
    numbered = sorted((int(match[1]), path) for path, match in matches.items() if match)
    if not numbered or [number for number, _ in numbered] != list(range(len(numbered))):
        found = ", ".join(path.name for _, path in numbered) or "none"
        raise CorpusError(
            f"{folder}: expected files serjax_{corpus}-{fields.SPLIT}.array_record-00000 and "
            f"following, found {found}"
        )
    return [path for _, path in numbered]


def _reason(error: Exception) -> str:
    """Returns the first line of an error of a library, which can name its own source files."""
    text = first_line(error).partition("; Source Location")[0]
    return text[:200] or type(error).__name__
