"""Corpora stored as TFDS datasets: the names of their fields, and opening them again.

A dataset is what `serjax.data.storage.builder` writes: array_record files of utterances, read by
random access, and beside them, in `metadata.json`, the table of them and the length and hash of
each, so that opening a dataset reads no recording. TensorFlow is not needed.
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
"""TFDS's name for all of a dataset that is not divided; divisions are drawn from the table."""

NO_LABEL = -1
"""What TFDS's `ClassLabel` calls a missing one."""

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
    """Returns what the fields of a corpus's records are called.

    Args:
        corpus: The corpus's name.

    Returns:
        From "audio" and the attributes of `Utterance` to the fields' names: the same, but those of
        TFDS where it has the corpus itself (crema_d, librispeech, savee, speech_commands,
        spoken_digit, voxceleb; https://www.tensorflow.org/datasets/catalog/overview#audio).
    """
    own = {name: name for name in ("audio", *TEXTS, *NUMBERS)}
    return own | dict(_TFDS_FIELDS.get(corpus, {}))


@dataclasses.dataclass(frozen=True)
class Stored:
    """A corpus stored as a TFDS dataset.

    Attributes:
        name: The corpus's name.
        sample_rate: Of its waveforms, in Hz.
        utterances: In the order of the records.
        samples: `[utterances]` int64, length of each waveform.
        content: Hash of each waveform, see `serjax.data.splits.content_hash`.
        notes: What was dropped or noticed when it was written.
        source: Record of every utterance, by random access: a dict of the fields of
            `field_names`, the audio int16 `[samples]`, texts as bytes. Safe to call from several
            threads, and to pickle.
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
    """Opens a dataset; no recording is read.

    Args:
        folder: What it was written to, or the dataset's own folder in there.

    Raises:
        CorpusError: The folder does not hold one dataset that serjax wrote.
    """
    import tensorflow_datasets as tfds

    path = dataset_folder(folder)
    found = metadata(path)
    return Stored(
        name=found["corpus"],
        sample_rate=found["sample_rate"],
        utterances=_utterances(found["table"]),
        samples=np.array(found["samples"], np.int64),
        content=tuple(found["content"]),
        notes=tuple(found["notes"]),
        source=tfds.builder_from_directory(path).as_data_source(SPLIT),
    )


def metadata(path: Path) -> dict[str, Any]:
    """Reads what serjax stores beside a dataset's records.

    Args:
        path: The dataset's own folder.

    Returns:
        "corpus", its name; "sample_rate" in Hz; "written_from", the digest of the table that was
        to be written; "table", the columns of that which was; "samples", the lengths; "content",
        the hashes; "notes".

    Raises:
        CorpusError: There is none, or not all of it.
    """
    try:
        found = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: is no dataset of serjax: {error}; {_WANTED}") from error
    missing = [name for name in _METADATA if name not in found]
    if missing:
        raise CorpusError(
            f"{path}: is no dataset of serjax: metadata.json lacks {', '.join(missing)}; {_WANTED}"
        )
    return found


def dataset_folder(folder: str | Path | None) -> Path:
    """Finds the only dataset in a folder: name, rate, version.

    Raises:
        CorpusError: There is none, or more than one.
    """
    if folder is None:
        raise CorpusError(f"tfds: no data directory given; {_WANTED}")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise CorpusError(f"tfds: data directory {root} is no folder; {_WANTED}")
    found = sorted(
        info.parent
        for depth in range(4)
        for info in root.glob("*/" * depth + "dataset_info.json")
        if not info.parent.name.startswith("incomplete.")
    )
    if len(found) != 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in found) or "none"
        raise CorpusError(f"tfds: expected one dataset in {root}, found {names}; {_WANTED}")
    return found[0]


def table(utterances: Sequence[Utterance]) -> dict[str, list[Any]]:
    """Returns utterances as columns, which JSON can hold."""
    return {name: [getattr(u, name) for u in utterances] for name in (*TEXTS, *NUMBERS)}


def _utterances(columns: Mapping[str, list[Any]]) -> tuple[Utterance, ...]:
    """Returns the utterances of a table."""
    rows = zip(*(columns[name] for name in (*TEXTS, *NUMBERS)), strict=True)
    return tuple(Utterance(**dict(zip((*TEXTS, *NUMBERS), row, strict=True))) for row in rows)
