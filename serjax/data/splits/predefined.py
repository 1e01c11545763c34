"""Predefined (official) splits: from a CSV file of path and split, or from the sessions."""

from pathlib import Path

import numpy as np

from serjax.data import tables
from serjax.data.corpus import Corpus, Identity
from serjax.data.paths import match_paths
from serjax.data.splits.partition import SPLIT_NAMES, SplitError, required_column
from serjax.data.tables import Row, Table, TableError

_COLUMNS = {
    "path": ("file", "filename", "file_name", "filepath", "file_path"),
    "split": ("set", "subset", "partition"),
    "start": (),
    "end": (),
}
# Common names of the sets.
_SETS = {name: index for index, name in enumerate(SPLIT_NAMES)} | {
    **dict.fromkeys(("training",), 0),
    **dict.fromkeys(("val", "valid", "dev", "devel", "development"), 1),
    **dict.fromkeys(("testing",), 2),
}


def read_split_file(path: str | Path, corpus: Corpus) -> np.ndarray:
    """Reads the set of each utterance of a corpus.

    Args:
        path: CSV file with the columns `path`, of the corpus's table, and `split`: train,
            validation or test, or another common name of them such as dev. The columns `start` and
            `end`, in seconds, identify segments of recordings; a row without them is for all
            segments of its recording. The columns may be in any order and among others, see
            `serjax.data.tables`. Recordings that are missing from the corpus are skipped, because
            lists are for whole corpora.
        corpus: The corpus, whose utterances must all be listed.

    Returns:
        Set of each utterance, int [utterances] in 0, 1, 2.

    Raises:
        SplitError: The file cannot be read, a column is missing, a split has another name, or an
            utterance is listed in two sets or not at all.
    """
    try:
        table = tables.read(Path(path), _COLUMNS, ("path", "split"), ("start", "end"))
        listed = _listed(table, corpus)
    except TableError as error:
        raise SplitError(f"{error}; expected a CSV file of path and split") from error
    split_ids = [
        listed.get(utterance.identity, listed.get(Identity(utterance.path)))
        for utterance in corpus.utterances
    ]
    unlisted = [u for u, i in zip(corpus.utterances, split_ids, strict=True) if i is None]
    if unlisted:
        raise SplitError(
            f"{path}: {len(unlisted)} of {corpus.name}'s {len(corpus)} utterances are not listed, "
            f"such as {unlisted[0].identity}"
        )
    return np.array(split_ids, dtype=np.int64)


def _listed(table: Table, corpus: Corpus) -> dict[Identity, int]:
    """Returns the set of each utterance that a table lists."""
    paths = {utterance.path for utterance in corpus.utterances}
    cells = [row.cells.get("path", "") for row in table.rows]
    matches = match_paths(cells, paths.__contains__, lambda: paths, table.encoding)
    listed: dict[Identity, int] = {}
    for row, cell, path in zip(table.rows, cells, matches.paths, strict=True):
        split_id = _split_id(table, row)
        start, end = table.seconds(row, "start"), table.seconds(row, "end")
        utterance = Identity(path or cell, start or 0.0, np.inf if end is None else end)
        if listed.setdefault(utterance, split_id) != split_id:
            raise TableError(f"{table.path}, line {row.line}: {utterance} is listed in two sets")
    return listed


def _split_id(table: Table, row: Row) -> int:
    split = row.cells.get("split", "")
    if split.lower() not in _SETS:
        raise TableError(
            f"{table.path}, line {row.line}: expected split {', '.join(SPLIT_NAMES)}, found "
            f"{split!r}"
        )
    return _SETS[split.lower()]


def split_of_sessions(corpus: Corpus) -> np.ndarray:
    """Returns the set of each utterance, int [utterances], which is named like its session.

    Args:
        corpus: The corpus, with the sessions train, validation and test.

    Raises:
        SplitError: A session is missing or has another name.
    """
    sessions = required_column(corpus, "session", "a random split would work")
    for session in sessions:
        if session not in SPLIT_NAMES:
            raise SplitError(
                f"{corpus.name}: a predefined split needs sessions named {', '.join(SPLIT_NAMES)}; "
                f"found {session!r}"
            )
    return np.array([SPLIT_NAMES.index(session) for session in sessions], dtype=np.int64)
