"""A single split of a corpus into training, validation and test sets."""

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.assignment import assign_groups, assign_stratified
from serjax.data.splits.grouping import recording_ids
from serjax.data.splits.partition import Split, SplitError, required_column, verify
from serjax.data.splits.predefined import read_split_file, split_of_sessions
from serjax.errors import unknown_name


def names() -> tuple[str, ...]:
    """Returns the names of the splits, sorted."""
    return ("predefined", "random", "session", "speaker")


def split(
    corpus: Corpus,
    name: str,
    *,
    target: str = "emotion",
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    content: Sequence[Hashable] | None = None,
    split_file: str | Path | None = None,
) -> Split:
    """Splits a corpus into training, validation and test sets.

    >>> from serjax import data
    >>> corpus = data.load("synthetic", speakers=5, words=2)
    >>> result = split(corpus, "speaker")
    >>> len(result.train), len(result.validation), len(result.test)
    (24, 8, 8)

    Args:
        corpus: The corpus. Its utterances are sorted, so the result does not depend on the order
            in which its loader lists them.
        name: One of `names()`.
        target: Column to be predicted, whose classes are balanced over the sets.
        fractions: Fractions of the training, validation and test sets, positive and of sum 1. They
            are ignored by the `predefined` split.
        seed: Seed that selects one of the possible splits. It is ignored by the `predefined` split.
        content: Identifier of the sound of each utterance, see `same_sound`; utterances
            with the same identifier are in the same set.
        split_file: CSV file with the columns `path` and `split`, for the `predefined` split. It
            may list more recordings than the corpus has. None: sessions are named after the sets.

    Returns:
        The split. Its sets are disjoint, none is empty, and their union is the corpus. The training
        set has every class. A `speaker` or `session` split is disjoint by speaker or session.

    Raises:
        SplitError: The split does not exist, or the corpus does not allow it.
    """
    if name not in names():
        raise SplitError(unknown_name("split", name, names()))
    requested = np.asarray(fractions, dtype=np.float64)
    if requested.shape != (3,) or not np.all(requested > 0) or abs(requested.sum() - 1) > 1e-6:
        raise SplitError(f"fractions must be three positive numbers of sum 1; found {fractions}")
    if split_file is not None and name != "predefined":
        raise SplitError(f"{split_file}: a split file is for the predefined split; found {name}")
    recordings = recording_ids(corpus, content)
    classes = required_column(corpus, target, "choose another target")
    rng = np.random.default_rng(seed)
    if name == "random":
        split_ids = assign_stratified(corpus, classes, recordings, requested, rng)
    elif name != "predefined":
        split_ids = assign_groups(
            corpus,
            classes,
            recordings,
            requested,
            rng,
            group_by=name,
            trained_classes=lambda counts: counts[0] > 0,
        )
    elif split_file is None:
        split_ids = split_of_sessions(corpus)
    else:
        split_ids = read_split_file(split_file, corpus)
    group_columns = [name] if name in ("speaker", "session") else []
    verify(split_ids, corpus, name, classes, recordings, group_columns)
    return Split.from_ids(name, split_ids)
