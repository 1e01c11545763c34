"""Splits that others have published, as a CSV file of path and part."""

import csv
from pathlib import Path

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.groups import SPLIT_NAMES, SplitError


def read_split_file(path: str | Path, corpus: Corpus) -> np.ndarray:
    """Reads which part each utterance of a corpus is in.

    Args:
        path: CSV file with columns `path` (as in the corpus's table) and `part` (train,
            validation or test), in any order and among others. Lines on recordings that the
            corpus lacks are skipped: lists are for whole corpora.
        corpus: Its recordings must all be listed.

    Returns:
        int [utterances], 0 to 2.

    Raises:
        SplitError: The file can't be read or lacks a column, a part has another name, a recording
            is listed in two parts or not at all.
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
        raise SplitError(f"{path}: expected a CSV file of path and part, found {error}") from None
    listed: dict[str, int] = {}
    for line, name, part in rows:
        if part not in SPLIT_NAMES:
            raise SplitError(
                f"{path}, line {line}: expected split {', '.join(SPLIT_NAMES)}, found {part!r}"
            )
        if listed.setdefault(name, SPLIT_NAMES.index(part)) != SPLIT_NAMES.index(part):
            raise SplitError(f"{path}, line {line}: {name} is listed in two parts")
    unlisted = [u.path for u in corpus.utterances if u.path not in listed]
    if unlisted:
        raise SplitError(
            f"{path}: {len(unlisted)} of {corpus.name}'s {len(corpus)} utterances are not listed, "
            f"such as {unlisted[0]}"
        )
    return np.array([listed[u.path] for u in corpus.utterances], dtype=np.int64)
