"""One division of a corpus in training, validation and test parts."""

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.assignment import assign_groups, assign_stratified
from serjax.data.splits.groups import (
    SPLIT_NAMES,
    Split,
    SplitError,
    column,
    made,
    recordings,
    verify,
)
from serjax.data.splits.predefined import read_split_file
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
    """Divides a corpus in three.

    Args:
        corpus: Its utterances are sorted, so the result does not depend on how it was listed.
        name: One of `names()`.
        target: The column to be predicted, whose classes are balanced over the parts.
        fractions: The parts' shares: train, validation, test. Positive, of sum 1. A `given`
            split has its own.
        seed: Selects one of the possible splits. A `given` split has only one.
        content: What identifies each utterance's sound, such as its `content_hash`;
            utterances of the same content come into the same part.
        split_file: For a `given` split, a CSV file with columns `path` and `part`, which may list
            more than the corpus holds. None: the corpus's sessions are its parts.

    Returns:
        The split: its parts are disjoint, none is empty, together they are the corpus, every
        class is trained, and the split's promise on speakers or sessions holds.

    Raises:
        SplitError: There is no such split, or this corpus can't be split so.
    """
    if name not in names():
        raise SplitError(unknown_name("split", name, names()))
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not np.all(shares > 0) or abs(shares.sum() - 1) > 1e-6:
        raise SplitError(f"fractions must be three positive numbers of sum 1; found {fractions}")
    if split_file is not None and name != "predefined":
        raise SplitError(f"{split_file}: a list of parts is for the given split; found {name}")
    recording = recordings(corpus, content)
    classes = column(corpus, target, "choose another target")
    rng = np.random.default_rng(seed)
    if name == "random":
        parts = assign_stratified(corpus, classes, recording, shares, rng)
    elif name != "predefined":
        parts = assign_groups(
            corpus, classes, recording, shares, rng, what=name, trained=lambda counts: counts[0] > 0
        )
    elif split_file is None:
        parts = _sessions(corpus)
    else:
        parts = read_split_file(split_file, corpus)
    apart = [name] if name in ("speaker", "session") else []
    verify(parts, corpus, name, classes, recording, apart)
    return made(name, parts)


def _sessions(corpus: Corpus) -> np.ndarray:
    """Returns each utterance's part, int [utterances]: what its session is called."""
    sessions = column(corpus, "session", "a random split would work")
    for session in sessions:
        if session not in SPLIT_NAMES:
            raise SplitError(
                f"{corpus.name}: a predefined split needs sessions named {', '.join(SPLIT_NAMES)}; "
                f"found {session!r}"
            )
    return np.array([SPLIT_NAMES.index(session) for session in sessions], dtype=np.int64)
