"""Several corpora as one corpus of the command line, such as TESS and SAVEE."""

from collections.abc import Mapping
from pathlib import Path

from serjax.data import registry
from serjax.data.corpus import Corpus, CorpusError
from serjax.data.join import join
from serjax.errors import unknown_name


@registry.register("joined", takes_data_dir=False)
def load(corpora: Mapping[str, str | Path]) -> Corpus:
    """Reads the tables of several corpora and joins them, see `serjax.data.join`.

    Args:
        corpora: Folder of each corpus by the corpus's name.

    Returns:
        The corpus "joined". Paths, speakers, texts and sessions begin with their corpus's name.

    Raises:
        CorpusError: A corpus is unknown, a folder does not exist or does not hold its corpus, or
            there are fewer than two corpora.
    """
    if not isinstance(corpora, Mapping) or not all(
        isinstance(folder, str | Path) for folder in corpora.values()
    ):
        raise CorpusError(
            "joined: expected corpora with their folders, such as {'tess': 'TESS', 'savee': "
            f"'SAVEE'}}, found {corpora!r}"
        )
    known = registry.names_with_data_dir()
    for name in corpora:
        if name not in known:
            raise CorpusError(unknown_name("corpus to join", name, known))
    joined, _ = join({name: registry.load(name, folder) for name, folder in corpora.items()})
    return joined
