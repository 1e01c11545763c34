"""Groups of utterances that must be in the same set: one recording, or the same sound."""

from collections.abc import Hashable, Sequence

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.partition import SplitError


def recording_ids(corpus: Corpus, content: Sequence[Hashable] | None) -> np.ndarray:
    """Numbers the recordings of a corpus: utterances of one file or of the same sound.

    Args:
        corpus: The corpus.
        content: Number or other identifier of the sound of each utterance; None: files only.

    Returns:
        Number of each utterance's recording, int64 `[utterances]`.

    Raises:
        SplitError: The number of identifiers differs from that of the utterances.
    """
    paths = corpus.column("path")
    if content is None:
        return connected_groups(paths)
    if len(content) != len(corpus):
        raise SplitError(f"{len(content)} identifiers of sounds given for {len(corpus)} utterances")
    return connected_groups(paths, content)


def connected_groups(*columns: Sequence[Hashable]) -> np.ndarray:
    """Numbers the groups of utterances that are connected by a common value in any column.

    >>> connected_groups(["a", "a", "b", "c"], [1, 2, 2, 3]).tolist()
    [0, 0, 0, 1]

    Args:
        *columns: One value per utterance.

    Returns:
        Number of each utterance's group, int64 `[utterances]`, in order of first occurrence.
    """
    parent = list(range(len(columns[0])))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for values in columns:
        first: dict[Hashable, int] = {}
        for i, value in enumerate(values):
            parent[root(i)] = root(first.setdefault(value, i))
    numbers: dict[int, int] = {}
    return np.array(
        [numbers.setdefault(root(i), len(numbers)) for i in range(len(parent))], dtype=np.int64
    )
