"""Cross-validation: every utterance is tested in exactly one fold."""

import re
from collections.abc import Hashable, Sequence

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.assignment import assign_groups, assign_stratified
from serjax.data.splits.groups import (
    Split,
    SplitError,
    column,
    made,
    recordings,
    verify,
    verify_apart,
)
from serjax.errors import unknown_name

# What no two parts of a fold share.
_APART = {
    "random": (),
    "speaker": ("speaker",),
    "session": ("session",),
    "leave_one_speaker_out": ("speaker",),
    "leave_one_session_out": ("session",),
    "leave_one_session_speaker_out": ("speaker",),
}


def protocols() -> tuple[str, ...]:
    """Returns the names of the protocols of cross-validation, sorted."""
    return tuple(sorted(_APART))


def folds(
    corpus: Corpus,
    protocol: str,
    *,
    target: str = "emotion",
    folds: int = 5,
    seed: int = 0,
    content: Sequence[Hashable] | None = None,
) -> list[Split]:
    """Divides a corpus again and again, so that every utterance is tested once.

    In all protocols but the last, every utterance also validates once: the corpus is dealt to
    folds, one tests, another validates, the others train.

    - `random`: stratified folds; each tests, the next one validates.
    - `speaker`, `session`: the same without a speaker, or session, in two folds.
    - `leave_one_speaker_out`: a fold for each speaker, in the order of their names; another one,
      drawn by the seed, validates.
    - `leave_one_session_out`: the same with sessions. The protocol of Padi et al. 2021 (section
      4.1), who test on one of IEMOCAP's five sessions and train on the other four; they give no
      validation part, which here is one of the four.
    - `leave_one_session_speaker_out`: of the session held out, one speaker tests and the other
      validates, so that all other sessions train: ten folds of IEMOCAP. Validation and test then
      share dialogues.

    Args:
        corpus: Its utterances are sorted, so the result does not depend on how it was listed.
        protocol: One of `protocols()`.
        target: The column to be predicted, whose classes are balanced over the folds.
        folds: How many, at least 3; the protocols that leave one out have as many as there are.
        seed: Selects one of the possible divisions.
        content: What identifies each utterance's sound, such as its `content_hash`;
            utterances of the same content come into the same fold.

    Returns:
        The folds. The parts of each are disjoint, none is empty, together they are the corpus,
        every class is trained, and the protocol's promise on speakers or sessions holds.

    Raises:
        SplitError: There is no such protocol, or this corpus can't be divided so.
    """
    if protocol not in _APART:
        raise SplitError(unknown_name("protocol", protocol, protocols()))
    if folds < 3:
        raise SplitError(
            f"folds: expected at least 3, to train, validate and test on; found {folds}"
        )
    recording = recordings(corpus, content)
    classes = column(corpus, target, "choose another target")
    rng = np.random.default_rng(seed)
    if protocol == "leave_one_session_speaker_out":
        divisions = _session_speakers(corpus)
    else:
        if protocol.startswith("leave_one_"):
            fold, following = _each(corpus, _APART[protocol][0], rng)
        else:
            fold = _dealt(corpus, protocol, classes, recording, folds, rng)
            following = (np.arange(folds) + 1) % folds
        divisions = [_rotated(fold, test, int(following[test])) for test in range(len(following))]
    for number, parts in enumerate(divisions, start=1):
        name = f"{protocol} (fold {number})"
        verify(parts, corpus, name, classes, recording, _APART[protocol])
        if protocol == "leave_one_session_speaker_out":
            heard = np.minimum(parts, 1)  # validation and test are of one session
            verify_apart(heard, corpus, name, "session", corpus.column("session"))
    return [made(protocol, parts) for parts in divisions]


def parse_fold(text: str) -> tuple[int, int]:
    """Reads a fold's number and how many there are, such as "2/5".

    Raises:
        SplitError: It is not that.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise SplitError(f"fold: expected a number and how many there are, as 2/5; found {text!r}")
    return int(match[1]), int(match[2])


def _dealt(
    corpus: Corpus,
    protocol: str,
    classes: list[str],
    recording: np.ndarray,
    folds: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fold of each utterance, int [utterances], folds of like size and classes."""
    shares = np.full(folds, 1 / folds)
    if protocol == "random":
        return assign_stratified(corpus, classes, recording, shares, rng)

    def trained(counts: np.ndarray) -> np.ndarray:
        out = counts + np.roll(counts, -1, axis=0)  # of each fold and the one that validates
        return np.all(counts.sum(axis=0) > out, axis=0)

    return assign_groups(corpus, classes, recording, shares, rng, what=protocol, trained=trained)


def _each(corpus: Corpus, what: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Fold of each utterance, one for each value of a column, and which fold validates which."""
    found, fold = np.unique(column(corpus, what, "a random split would work"), return_inverse=True)
    if len(found) < 3:
        raise SplitError(
            f"{corpus.name}: leaving one {what} out needs 3 {what}s, to train, validate and test "
            f"on; found {len(found)}"
        )
    circle = rng.permutation(len(found))
    following = np.empty_like(circle)
    following[circle] = np.roll(circle, -1)
    return fold, following


def _rotated(fold: np.ndarray, test: int, validation: int) -> np.ndarray:
    """Part of each utterance, int [utterances], when these folds test and validate."""
    return np.where(fold == test, 2, np.where(fold == validation, 1, 0))


def _session_speakers(corpus: Corpus) -> list[np.ndarray]:
    """Divisions in which one speaker of a session tests and its other one validates."""
    sessions = np.array(column(corpus, "session", "leave_one_speaker_out would work"))
    speakers = np.array(column(corpus, "speaker", "leave_one_session_out would work"))
    divisions = []
    for session in np.unique(sessions):
        held_out = sessions == session
        found = np.unique(speakers[held_out])
        if len(found) != 2:
            raise SplitError(
                f"{corpus.name}: expected two speakers in every session, one to validate and one "
                f"to test on; found {len(found)} in {session}; leave_one_session_out would work"
            )
        for speaker in found:
            parts = np.where(held_out, 1, 0)
            parts[held_out & (speakers == speaker)] = 2
            divisions.append(parts)
    return divisions
