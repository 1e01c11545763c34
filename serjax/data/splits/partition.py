"""The training, validation and test sets of a corpus, and the checks that every split passes."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from serjax.data.corpus import Corpus
from serjax.errors import InputError

SPLIT_NAMES = ("train", "validation", "test")


class SplitError(InputError):
    """A split that the corpus does not allow: one line with the reason and an alternative."""


@dataclass(frozen=True)
class Split:
    """The training, validation and test sets of a corpus.

    Attributes:
        name: One of `names()` or `protocols()`, or "cross".
        train: Indices into the corpus's utterances, int32 [utterances of the set], ascending.
        validation: Indices of the validation set, which selects the best checkpoint.
        test: Indices of the test set, whose metrics are reported.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @classmethod
    def from_ids(cls, name: str, split_ids: np.ndarray) -> "Split":
        """Returns the split with the sets 0, 1 and 2 of `split_ids`, int [utterances]."""
        return cls(name, *(np.flatnonzero(split_ids == i).astype(np.int32) for i in range(3)))


def required_column(corpus: Corpus, name: str, remedy: str) -> list[str]:
    """Returns a column in which every utterance has a value.

    Args:
        corpus: The corpus.
        name: Name of the column.
        remedy: Alternative for a corpus without the column, the end of the message.

    Raises:
        SplitError: An utterance has no value, or the corpus is empty.
    """
    values = corpus.column(name)
    missing = [u for u, value in zip(corpus.utterances, values, strict=True) if value is None]
    if missing or not values:
        useful = [c for c in ("emotion", "speaker", "text", "session") if corpus.labels(c)]
        first = f", such as {missing[0].identity}" if missing else ""
        raise SplitError(
            f"{corpus.name}: {len(missing)} of {len(corpus)} utterances have no {name}{first}; "
            f"the corpus has {', '.join(useful) or 'no labels'}; {remedy}"
        )
    return [str(value) for value in values]


def verify(
    split_ids: np.ndarray,
    corpus: Corpus,
    name: str,
    classes: Sequence[str],
    recordings: np.ndarray,
    group_columns: Sequence[str] = (),
) -> None:
    """Checks the guarantees that every split gives, independently of the method that made it.

    Args:
        split_ids: Set of each utterance, int [utterances] in 0, 1, 2.
        corpus: The corpus.
        name: Name of the split, for the message.
        classes: Class of each utterance.
        recordings: Number of each utterance's recording, int [utterances].
        group_columns: Columns by which the sets are disjoint, such as speaker.

    Raises:
        SplitError: A set is empty, a class is missing from the training set, or two sets share a
            recording or a value of a group column.
    """
    for split_id, title in enumerate(SPLIT_NAMES):
        if not np.any(split_ids == split_id):
            raise SplitError(f"{corpus.name}: the {title} set of the {name} split is empty")
    trained = {c for c, split_id in zip(classes, split_ids, strict=True) if split_id == 0}
    untrained = set(classes) - trained
    if untrained:
        raise SplitError(
            f"{corpus.name}: the training set of the {name} split has no {min(untrained)!r}"
        )
    verify_disjoint(split_ids, corpus, name, "recording", recordings.tolist())
    for column in group_columns:
        verify_disjoint(split_ids, corpus, name, column, corpus.column(column))


def verify_disjoint(
    split_ids: np.ndarray, corpus: Corpus, name: str, kind: str, values: Sequence[Hashable]
) -> None:
    """Checks that all utterances with the same value are in one set.

    Args:
        split_ids: Set of each utterance, int [utterances] in 0, 1, 2.
        corpus: The corpus.
        name: Name of the split, for the message.
        kind: Kind of the values, for the message, such as "speaker".
        values: Value of each utterance.

    Raises:
        SplitError: Two sets share a value; the message names it and two utterances.
    """
    first: dict[Hashable, int] = {}
    for i, value in enumerate(values):
        other = first.setdefault(value, i)
        if split_ids[other] != split_ids[i]:
            # The number of a recording is internal; the message names its files.
            shared = "same recording" if kind == "recording" else f"{kind} {value}"
            places = " and ".join(
                f"{corpus.utterances[j].identity} ({SPLIT_NAMES[split_ids[j]]})" for j in (other, i)
            )
            raise SplitError(
                f"{corpus.name}: the {name} split puts the {shared} in two sets: {places}"
            )
