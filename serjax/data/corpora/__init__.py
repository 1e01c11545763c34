"""The loaders of the corpora, one file each. Importing this package registers all of them."""

from serjax.data.corpora import (
    cremad,
    csv_table,
    emodb,
    folder,
    fsdd,
    iemocap,
    joined,
    librispeech_words,
    ravdess,
    savee,
    speech_commands,
    tess,
    tfds,
    voxceleb,
)
from serjax.data.registry import LOADERS, PUBLISHED

__all__ = [
    "LOADERS",
    "PUBLISHED",
    "cremad",
    "csv_table",
    "emodb",
    "folder",
    "fsdd",
    "iemocap",
    "joined",
    "librispeech_words",
    "ravdess",
    "savee",
    "speech_commands",
    "tess",
    "tfds",
    "voxceleb",
]
