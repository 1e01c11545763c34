"""Origin of a dataset: the corpora that it consists of."""

from collections.abc import Iterable, Mapping
from typing import Any

from serjax.data.corpus import CorpusError
from serjax.data.registry import RESTRICTED
from serjax.data.storage import store


def corpora_of(
    dataset: str | None, data_dir: str | None, options: Mapping[str, Any]
) -> tuple[str, ...]:
    """Returns the names of the corpora that a dataset consists of.

    A corpus is recognized by the name of its loader, within a joined corpus too, or by the name
    that it was stored under. The recordings in a `folder` or `csv` have no name.

    Args:
        dataset: Name of the loader; None for no dataset.
        data_dir: Folder of the dataset.
        options: Options of the loader.
    """
    if dataset is None:
        return ()
    joined = options.get("corpora")
    names = (dataset, *(joined if isinstance(joined, Mapping) else ()))
    if dataset != "tfds":
        return names
    try:
        return (*names, str(store.metadata(store.dataset_folder(data_dir))["corpus"]))
    except CorpusError:  # reading the corpus reports it
        return names


def is_shareable(names: Iterable[str]) -> bool:
    """Returns False if the licence of one of the corpora forbids to share its recordings.

    Args:
        names: Names of corpora, see `corpora_of`.
    """
    return RESTRICTED.isdisjoint(names)
