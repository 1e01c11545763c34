"""The corpora by name, one file each."""

from collections.abc import Callable, Mapping

from serjax.data import synthetic
from serjax.data.corpora import (
    cremad,
    csv_table,
    emodb,
    folder,
    fsdd,
    iemocap,
    librispeech_words,
    ravdess,
    savee,
    speech_commands,
    tess,
    tfds,
    voxceleb,
)
from serjax.data.corpora.files import Published
from serjax.data.corpus import Corpus

LOADERS: dict[str, Callable[..., Corpus]] = {
    "cremad": cremad.load,
    "csv": csv_table.load,
    "emodb": emodb.load,
    "folder": folder.load,
    "fsdd": fsdd.load,
    "iemocap": iemocap.load,
    "librispeech_words": librispeech_words.load,
    "ravdess": ravdess.load,
    "savee": savee.load,
    "speech_commands": speech_commands.load,
    "synthetic": synthetic.load,
    "tess": tess.load,
    "tfds": tfds.load,
    "voxceleb": voxceleb.load,
}
"""`loader(data_dir, **options)`; a corpus that is generated takes no `data_dir`."""

PUBLISHED: Mapping[str, Published] = {
    "cremad": cremad.PUBLISHED,
    "emodb": emodb.PUBLISHED,
    "fsdd": fsdd.PUBLISHED,
    "iemocap": iemocap.PUBLISHED,
    "ravdess": ravdess.PUBLISHED,
    "savee": savee.PUBLISHED,
    "speech_commands": speech_commands.PUBLISHED,
    "tess": tess.PUBLISHED,
    "voxceleb": voxceleb.PUBLISHED,
}
"""What the owners say that their corpora hold, where they say it."""
