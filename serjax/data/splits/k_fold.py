"""Cross-validation: folds in which every utterance is tested exactly once."""

import re
from collections.abc import Hashable, Sequence

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.assignment import assign_groups, assign_stratified
from serjax.data.splits.grouping import recording_ids
from serjax.data.splits.partition import (
    Split,
    SplitError,
    required_column,
    verify,
    verify_disjoint,
)
from serjax.errors import unknown_name

# Columns by which the sets of a fold are disjoint.
_GROUP_COLUMNS = {
    "random": (),
    "speaker": ("speaker",),
    "session": ("session",),
    "leave_one_speaker_out": ("speaker",),
    "leave_one_session_out": ("session",),
    "leave_one_session_speaker_out": ("speaker",),
}


def protocols() -> tuple[str, ...]:
    """Returns the names of the protocols of cross-validation, sorted."""
    return tuple(sorted(_GROUP_COLUMNS))


def folds(
    corpus: Corpus,
    protocol: str,
    *,
    target: str = "emotion",
    folds: int = 5,
    seed: int = 0,
    content: Sequence[Hashable] | None = None,
) -> list[Split]:
    """Splits a corpus into folds, so that every utterance is tested once.

    In all protocols except the last, every utterance is also in one validation set: one fold is the
    test set, another the validation set, and the others are the training set.

    - `random`: stratified k-fold; the validation set is the fold after the test set.
    - `speaker`, `session`: k-fold with folds that are disjoint by speaker or session.
    - `leave_one_speaker_out` (LOSO): a fold for each speaker, in the order of their names; the
      seed selects another speaker for validation.
    - `leave_one_session_out`: the same with sessions. This is the protocol of Padi et al. (2021,
      section 4.1), who test on one of IEMOCAP's five sessions and train on the other four; they
      give no validation set, which here is one of the four.
    - `leave_one_session_speaker_out`: one speaker of the held-out session is tested and the other
      validated, so that all other sessions are trained: ten folds of IEMOCAP. The validation and
      test sets then share dialogs.

    >>> from serjax import data
    >>> corpus = data.load("synthetic", speakers=5, words=2)
    >>> [fold.test.tolist() for fold in folds(corpus, "leave_one_speaker_out")][0]
    [0, 1, 2, 3, 4, 5, 6, 7]

    Args:
        corpus: The corpus. Its utterances are sorted, so the result does not depend on the order
            in which its loader lists them.
        protocol: One of `protocols()`.
        target: Column to be predicted, whose classes are balanced over the folds.
        folds: Number of folds, at least 3. It is ignored by the protocols that leave one out.
        seed: Seed that selects one of the possible splits.
        content: Identifier of the sound of each utterance, see `same_sound`; utterances
            with the same identifier are in the same fold.

    Returns:
        The folds. The sets of each fold are disjoint, none is empty, and their union is the corpus.
        Every training set has every class. The sets are disjoint by the protocol's group.

    Raises:
        SplitError: The protocol does not exist, or the corpus does not allow it.
    """
    if protocol not in _GROUP_COLUMNS:
        raise SplitError(unknown_name("protocol", protocol, protocols()))
    if folds < 3:
        raise SplitError(
            f"folds: expected at least 3, to train, validate and test on; found {folds}"
        )
    recordings = recording_ids(corpus, content)
    classes = required_column(corpus, target, "choose another target")
    rng = np.random.default_rng(seed)
    if protocol == "leave_one_session_speaker_out":
        splits_ids = _one_speaker_of_session_each(corpus)
    else:
        if protocol.startswith("leave_one_"):
            fold_ids, next_fold = _one_value_each(corpus, _GROUP_COLUMNS[protocol][0], rng)
        else:
            fold_ids = _assign_folds(corpus, protocol, classes, recordings, folds, rng)
            next_fold = (np.arange(folds) + 1) % folds
        splits_ids = [
            _split_ids(fold_ids, test, int(next_fold[test])) for test in range(len(next_fold))
        ]
    for number, split_ids in enumerate(splits_ids, start=1):
        name = f"{protocol} (fold {number})"
        verify(split_ids, corpus, name, classes, recordings, _GROUP_COLUMNS[protocol])
        if protocol == "leave_one_session_speaker_out":
            trained_or_not = np.minimum(split_ids, 1)  # validation and test share the session
            verify_disjoint(trained_or_not, corpus, name, "session", corpus.column("session"))
    return [Split.from_ids(protocol, split_ids) for split_ids in splits_ids]


def parse_fold(text: str) -> tuple[int, int]:
    """Parses the number of a fold and the number of folds.

    >>> parse_fold("2/5")
    (2, 5)

    Args:
        text: Both numbers with a slash between them.

    Returns:
        Number of the fold, from 1, and number of folds.

    Raises:
        SplitError: The text has another form, or the fold's number is out of range.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise SplitError(
            f"fold: expected its number and the number of folds, such as 2/5; found {text!r}"
        )
    return int(match[1]), int(match[2])


def _assign_folds(
    corpus: Corpus,
    protocol: str,
    classes: list[str],
    recordings: np.ndarray,
    folds: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns the fold of each utterance, int [utterances], with similar sizes and classes."""
    fractions = np.full(folds, 1 / folds)
    if protocol == "random":
        return assign_stratified(corpus, classes, recordings, fractions, rng)

    def trained_classes(counts: np.ndarray) -> np.ndarray:
        held_out = counts + np.roll(counts, -1, axis=0)  # the test fold and the validation fold
        return np.all(counts.sum(axis=0) > held_out, axis=0)

    return assign_groups(
        corpus,
        classes,
        recordings,
        fractions,
        rng,
        group_by=protocol,
        trained_classes=trained_classes,
    )


def _one_value_each(
    corpus: Corpus, column: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Assigns one fold to each value of a column.

    Returns:
        Fold of each utterance, int [utterances], and for each fold the one that validates it.
    """
    values, fold_ids = np.unique(
        required_column(corpus, column, "a random split would work"), return_inverse=True
    )
    if len(values) < 3:
        raise SplitError(
            f"{corpus.name}: leaving one {column} out needs 3 {column}s, to train, validate and "
            f"test on; found {len(values)}"
        )
    circle = rng.permutation(len(values))
    next_fold = np.empty_like(circle)
    next_fold[circle] = np.roll(circle, -1)
    return fold_ids, next_fold


def _split_ids(fold_ids: np.ndarray, test: int, validation: int) -> np.ndarray:
    """Returns the set of each utterance, int [utterances], for a test and a validation fold."""
    return np.where(fold_ids == test, 2, np.where(fold_ids == validation, 1, 0))


def _one_speaker_of_session_each(corpus: Corpus) -> list[np.ndarray]:
    """Returns splits that test one speaker of a session and validate its other speaker."""
    sessions = np.array(required_column(corpus, "session", "leave_one_speaker_out would work"))
    speakers = np.array(required_column(corpus, "speaker", "leave_one_session_out would work"))
    splits_ids = []
    for session in np.unique(sessions):
        held_out = sessions == session
        speakers_of_session = np.unique(speakers[held_out])
        if len(speakers_of_session) != 2:
            raise SplitError(
                f"{corpus.name}: expected two speakers in every session, one to validate and one "
                f"to test on; found {len(speakers_of_session)} in {session}; "
                "leave_one_session_out would work"
            )
        for speaker in speakers_of_session:
            split_ids = np.where(held_out, 1, 0)
            split_ids[held_out & (speakers == speaker)] = 2
            splits_ids.append(split_ids)
    return splits_ids
