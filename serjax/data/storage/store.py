"""Reading of corpora that are stored as TFDS datasets, and the names of their fields.

`serjax.data.storage.builder` writes a dataset as array_record files of utterances, which are read
by random access. `metadata.json` holds the table and the length and hash of each waveform, so that
opening a dataset reads no waveform. TensorFlow is not needed.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax.data.corpus import DIMENSIONS, CorpusError, Utterance

TEXTS = ("path", "emotion", "speaker", "text", "session")
NUMBERS = ("start", "end", *DIMENSIONS)
SPLIT = "train"
"""TFDS's name for the whole of an unsplit dataset; serjax splits the table."""

NO_LABEL = -1
"""The missing label of TFDS's `ClassLabel`."""

_METADATA = ("corpus", "sample_rate", "written_from", "table", "samples", "content", "notes")
_WANTED = "expected a folder that `serjax corpus NAME --data-dir P --write FOLDER` wrote"

_CREMAD = {"emotion": "label", "speaker": "speaker_id"}
_TFDS_FIELDS: Mapping[str, Mapping[str, str]] = {
    "cremad": _CREMAD,
    "fsdd": {"path": "audio/filename", "text": "label"},
    "librispeech_words": {"audio": "speech", "speaker": "speaker_id", "session": "chapter_id"},
    "savee": _CREMAD,
    "speech_commands": {"text": "label"},
    "voxceleb": {"speaker": "label", "session": "youtube_id"},
}


def field_names(corpus: str) -> dict[str, str]:
    """Returns the names of the fields of a corpus's records.

    Args:
        corpus: Name of the corpus.

    Returns:
        The field of "audio" and of each attribute of `Utterance`. Fields have the same names,
        except in corpora that TFDS has too (crema_d, librispeech, savee, speech_commands,
        spoken_digit, voxceleb; https://www.tensorflow.org/datasets/catalog/overview#audio), which
        have TFDS's names.
    """
    same = {name: name for name in ("audio", *TEXTS, *NUMBERS)}
    return same | dict(_TFDS_FIELDS.get(corpus, {}))


@dataclasses.dataclass(frozen=True)
class Stored:
    """A corpus stored as a TFDS dataset.

    Attributes:
        name: Name of the corpus.
        sample_rate: Sample rate of the waveforms, in Hz.
        utterances: Utterances in the order of the records.
        samples: `[utterances]` int64, number of samples of each waveform.
        content: Hash of each waveform, see `serjax.data.splits.content_hash`.
        notes: Remarks of the loader and of the writing, one line each.
        source: Records by random access: dicts of the fields of `field_names`, with audio as int16
            `[samples]` and texts as bytes. It is safe to use in several threads, and to pickle.
    """

    name: str
    sample_rate: int
    utterances: tuple[Utterance, ...]
    samples: np.ndarray
    content: tuple[str, ...]
    notes: tuple[str, ...]
    source: Sequence[Mapping[str, Any]]

    def waveform(self, index: int) -> np.ndarray:
        """Returns the waveform of a record, int16 `[samples]`."""
        return self.source[index][field_names(self.name)["audio"]]


def open_stored(folder: str | Path | None) -> Stored:
    """Opens a stored corpus. No waveform is read.

    Args:
        folder: Folder that the corpus was written to, or the folder of the dataset in it.

    Returns:
        The stored corpus.

    Raises:
        CorpusError: The folder does not hold exactly one dataset that serjax wrote.
    """
    import tensorflow_datasets as tfds

    path = dataset_folder(folder)
    values = metadata(path)
    return Stored(
        name=values["corpus"],
        sample_rate=values["sample_rate"],
        utterances=_utterances(values["table"]),
        samples=np.array(values["samples"], np.int64),
        content=tuple(values["content"]),
        notes=tuple(values["notes"]),
        source=tfds.builder_from_directory(path).as_data_source(SPLIT),
    )


def metadata(path: Path) -> dict[str, Any]:
    """Reads the metadata of a dataset.

    Args:
        path: Folder of the dataset.

    Returns:
        "corpus", its name; "sample_rate" in Hz; "written_from", the digest of the corpus's table;
        "table", the columns of the written utterances; "samples", their lengths; "content", their
        hashes; "notes".

    Raises:
        CorpusError: The metadata is missing or incomplete.
    """
    try:
        values = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: is no dataset of serjax: {error}; {_WANTED}") from error
    missing = [name for name in _METADATA if name not in values]
    if missing:
        raise CorpusError(
            f"{path}: is no dataset of serjax: metadata.json has no {', '.join(missing)}; {_WANTED}"
        )
    return values


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
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise CorpusError(f"tfds: data directory {root} is no folder; {_WANTED}")
    folders = sorted(
        info.parent
        for depth in range(4)
        for info in root.glob("*/" * depth + "dataset_info.json")
        if not info.parent.name.startswith("incomplete.")
    )
    if len(folders) != 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in folders) or "none"
        raise CorpusError(f"tfds: expected one dataset in {root}, found {names}; {_WANTED}")
    return folders[0]


def table(utterances: Sequence[Utterance]) -> dict[str, list[Any]]:
    """Returns the columns of utterances as JSON-compatible lists."""
    return {name: [getattr(u, name) for u in utterances] for name in (*TEXTS, *NUMBERS)}


def _utterances(columns: Mapping[str, list[Any]]) -> tuple[Utterance, ...]:
    """Returns the utterances of a table."""
    rows = zip(*(columns[name] for name in (*TEXTS, *NUMBERS)), strict=True)
    return tuple(Utterance(**dict(zip((*TEXTS, *NUMBERS), row, strict=True))) for row in rows)
