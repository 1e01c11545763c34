"""The corpora by name, one file each."""

from collections.abc import Callable, Mapping
from pathlib import Path

from serjax.data import synthetic
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
from serjax.data.corpora.files import Published
from serjax.data.corpus import Corpus, CorpusError
from serjax.errors import unknown_name


def _load_joined(corpora: Mapping[str, str]) -> Corpus:
    """Reads several corpora as one, see `serjax.data.corpora.joined`.

    Args:
        corpora: Folder of each, by the corpus's name.

    Raises:
        CorpusError: An unknown corpus, a folder that is none, or fewer than two corpora.
    """
    if not isinstance(corpora, Mapping) or not all(
        isinstance(folder, str | Path) for folder in corpora.values()
    ):
        raise CorpusError(
            "joined: expected corpora with their folders, such as {'tess': 'TESS', 'savee': "
            f"'SAVEE'}}, found {corpora!r}"
        )
    known = [name for name in LOADERS if name not in ("joined", "synthetic")]
    for name in corpora:
        if name not in known:
            raise CorpusError(unknown_name("corpus to join", name, known))
    return joined.join({name: LOADERS[name](folder) for name, folder in corpora.items()})


LOADERS: dict[str, Callable[..., Corpus]] = {
    "cremad": cremad.load,
    "csv": csv_table.load,
    "emodb": emodb.load,
    "folder": folder.load,
    "fsdd": fsdd.load,
    "iemocap": iemocap.load,
    "joined": _load_joined,
    "librispeech_words": librispeech_words.load,
    "ravdess": ravdess.load,
    "savee": savee.load,
    "speech_commands": speech_commands.load,
    "synthetic": synthetic.load,
    "tess": tess.load,
    "tfds": tfds.load,
    "voxceleb": voxceleb.load,
}
"""`loader(data_dir, **options)`; the generated and the joined corpus take no `data_dir`."""

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
