"""The three parts of a corpus, and the checks that every way of making them has to pass."""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from serjax.data.corpus import Corpus
from serjax.errors import InputError

SPLIT_NAMES = ("train", "validation", "test")


class SplitError(InputError):
    """A corpus can't be split as asked: one line that says why and what would work."""


@dataclass(frozen=True)
class Split:
    """Three parts of a corpus.

    Attributes:
        name: One of `names()` or `protocols()`, or "cross".
        train: Indices into the corpus's utterances, int32 [utterances of the part], ascending.
        validation: The same for the part that chooses the best epoch.
        test: The same for the part that is reported.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def content_hash(waveform: np.ndarray) -> str:
    """Returns a hash of a waveform's samples `[samples]`, compared as float32; equal for equal."""
    samples = np.ascontiguousarray(waveform, "<f4").tobytes()
    return hashlib.blake2b(samples, digest_size=16).hexdigest()


def made(name: str, parts: np.ndarray) -> Split:
    """The split whose parts are numbered 0, 1, 2 in `parts`, int [utterances]."""
    return Split(name, *(np.flatnonzero(parts == part).astype(np.int32) for part in range(3)))


def column(corpus: Corpus, name: str, remedy: str) -> list[str]:
    """Returns a column that every utterance must have, or says what to do without."""
    values = corpus.column(name)
    missing = [u.path for u, value in zip(corpus.utterances, values, strict=True) if value is None]
    if missing or not values:
        useful = [c for c in ("emotion", "speaker", "text", "session") if corpus.labels(c)]
        first = f", such as {missing[0]}" if missing else ""
        raise SplitError(
            f"{corpus.name}: {len(missing)} of {len(corpus)} utterances have no {name}{first}; "
            f"the corpus has {', '.join(useful) or 'no labels'}; {remedy}"
        )
    return [str(value) for value in values]


def recordings(corpus: Corpus, content: Sequence[Hashable] | None) -> np.ndarray:
    """Numbers what is one recording, int [utterances]: the same file, or the same content.

    Raises:
        SplitError: The contents are not those of the corpus.
    """
    paths = corpus.column("path")
    if content is None:
        return groups(paths)
    if len(content) != len(corpus):
        raise SplitError(f"{len(content)} content hashes given for {len(corpus)} utterances")
    return groups(paths, content)


def groups(*columns: Sequence[Hashable]) -> np.ndarray:
    """Numbers the classes of utterances that share a value in any column, int [utterances]."""
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


def verify(
    parts: np.ndarray,
    corpus: Corpus,
    name: str,
    classes: Sequence[str],
    recording: np.ndarray,
    apart: Sequence[str] = (),
) -> None:
    """Checks what every split promises, whichever way it was made.

    Args:
        parts: Part of each utterance, int [utterances] in 0, 1, 2.
        corpus: What is divided.
        name: How, for the message.
        classes: Class of each utterance.
        recording: From `recordings`.
        apart: Columns of which no value may be in two parts.

    Raises:
        SplitError: A part is empty, a class is not trained, or something is in two parts that must
            not be.
    """
    for part, title in enumerate(SPLIT_NAMES):
        if not np.any(parts == part):
            raise SplitError(f"{corpus.name}: the {title} part of the {name} split is empty")
    untrained = set(classes) - {c for c, part in zip(classes, parts, strict=True) if part == 0}
    if untrained:
        raise SplitError(
            f"{corpus.name}: the training part of the {name} split has no {min(untrained)!r}"
        )
    verify_apart(parts, corpus, name, "recording", recording.tolist())
    for what in apart:
        verify_apart(parts, corpus, name, what, corpus.column(what))


def verify_apart(
    parts: np.ndarray, corpus: Corpus, name: str, what: str, values: Sequence[Hashable]
) -> None:
    """Checks that utterances of one value are in one part.

    Raises:
        SplitError: They are not; names the value and two utterances.
    """
    first: dict[Hashable, int] = {}
    for i, value in enumerate(values):
        other = first.setdefault(value, i)
        if parts[other] != parts[i]:
            # The number of a recording says nothing, its files do.
            named = "same recording" if what == "recording" else f"{what} {value}"
            places = " and ".join(
                f"{corpus.utterances[j].path} ({SPLIT_NAMES[parts[j]]})" for j in (other, i)
            )
            raise SplitError(
                f"{corpus.name}: the {name} split puts the {named} in two parts: {places}"
            )
