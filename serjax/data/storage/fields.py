"""Fields of the records of a stored corpus."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from serjax.data.corpus import DIMENSIONS, Utterance

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

TEXTS = ("path", "emotion", "speaker", "text", "session")
NUMBERS = ("start", "end", *DIMENSIONS)
SPLIT = "train"
"""TFDS's name for the whole of an unsplit dataset; serjax splits the table."""

NO_LABEL = -1
"""The missing label of TFDS's `ClassLabel`."""

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


def labelled_column(corpus: str) -> str | None:
    """Returns the column that is stored as TFDS's `ClassLabel`; None if there is none.

    Args:
        corpus: Name of the corpus.
    """
    names = field_names(corpus)
    return next((column for column in TEXTS if names[column] == "label"), None)


def features(corpus: str, classes: Sequence[str] | None) -> "tfds.features.FeaturesDict":
    """Returns the types of the fields of a corpus's records.

    Args:
        corpus: Name of the corpus.
        classes: Names of the classes of `labelled_column`; None if there is no such column.
    """
    import tensorflow_datasets as tfds

    names = field_names(corpus)
    types: dict[str, Any] = {
        names["audio"]: tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes")
    }
    for column in TEXTS:
        types[names[column]] = tfds.features.Text()
    if classes is not None:
        types["label"] = tfds.features.ClassLabel(names=list(classes))
    for column in NUMBERS:
        # As bytes, because the records' own numbers have 32 bits.
        types[names[column]] = tfds.features.Tensor(shape=(), dtype=np.float64, encoding="bytes")
    return tfds.features.FeaturesDict(types)


def record(
    corpus: str, classes: Sequence[str] | None, utterance: Utterance
) -> dict[str, bytes | int | float]:
    """Returns the columns of an utterance as fields of a record, without its audio.

    Args:
        corpus: Name of the corpus.
        classes: Names of the classes of `labelled_column`; None if there is no such column.
        utterance: The utterance. Its missing texts become empty, missing numbers NaN, and a missing
            label `NO_LABEL`.
    """
    names = field_names(corpus)
    fields: dict[str, bytes | int | float] = {}
    for column in TEXTS:
        text = getattr(utterance, column)
        # The bytes that a name is on disk: TFDS would refuse names that are not UTF-8.
        fields[names[column]] = (text or "").encode("utf-8", "surrogateescape")
        if names[column] == "label":
            fields["label"] = NO_LABEL if text is None else list(classes or ()).index(text)
    for column in NUMBERS:
        value = getattr(utterance, column)
        fields[names[column]] = np.nan if value is None else float(value)
    return fields


def table(utterances: Sequence[Utterance]) -> dict[str, list[Any]]:
    """Returns the columns of utterances as lists for JSON, which has no NaN: it becomes None."""
    columns = {name: [getattr(u, name) for u in utterances] for name in (*TEXTS, *NUMBERS)}
    for name in NUMBERS:
        columns[name] = [None if value != value else value for value in columns[name]]
    return columns
