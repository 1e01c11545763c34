"""Predefined (official) splits: from a CSV file of path and split, or from the sessions."""

import csv
from pathlib import Path

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.partition import SPLIT_NAMES, SplitError, required_column


def read_split_file(path: str | Path, corpus: Corpus) -> np.ndarray:
    """Reads the set of each utterance of a corpus.

    Args:
        path: CSV file with the columns `path`, of the corpus's table, and `split`: train,
            validation or test. The columns may be in any order and among others. Recordings that
            are missing from the corpus are skipped, because lists are for whole corpora.
        corpus: The corpus, whose recordings must all be listed.

    Returns:
        Set of each utterance, int [utterances] in 0, 1, 2.

    Raises:
        SplitError: The file cannot be read, a column is missing, a split has another name, or a
            recording is listed in two sets or not at all.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if not {"path", "split"} <= set(columns):
                raise SplitError(
                    f"{path}: expected columns path and split, found {', '.join(columns) or 'none'}"
                )
            rows = [(reader.line_num, row["path"], row["split"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"{path}: expected a CSV file of path and split, found {error}") from None
    listed: dict[str, int] = {}
    for line, name, split in rows:
        if split not in SPLIT_NAMES:
            raise SplitError(
                f"{path}, line {line}: expected split {', '.join(SPLIT_NAMES)}, found {split!r}"
            )
        if listed.setdefault(name, SPLIT_NAMES.index(split)) != SPLIT_NAMES.index(split):
            raise SplitError(f"{path}, line {line}: {name} is listed in two sets")
    unlisted = [u.path for u in corpus.utterances if u.path not in listed]
    if unlisted:
        raise SplitError(
            f"{path}: {len(unlisted)} of {corpus.name}'s {len(corpus)} utterances are not listed, "
            f"such as {unlisted[0]}"
        )
    return np.array([listed[u.path] for u in corpus.utterances], dtype=np.int64)


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
