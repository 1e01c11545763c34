"""Training, validation and test parts of a corpus, with nothing shared that must not be.

- `random`: every class divided in the requested proportions. Speakers are shared, so it measures
  how well known speakers are recognized.
- `speaker`: no speaker is in two parts.
- `session`: no session is in two parts.
- `given`: the corpus's own partition: its sessions are named train, validation and test.

Recordings of identical content are one: no split separates them when it is given the hashes.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from serjax.data.corpus import Corpus
from serjax.errors import InputError, unknown_name

PARTS = ("train", "validation", "test")

# Enough to come close to the requested proportions, few enough that another seed finds another
# split: EMO-DB's ten speakers divide 6:2:2 in only 1,260 ways.
_TRIALS = 100


class SplitError(InputError):
    """A corpus can't be split as asked: one line that says why and what would work."""


@dataclass(frozen=True)
class Split:
    """Three parts of a corpus.

    Attributes:
        name: One of `names()`.
        train: Indices into the corpus's utterances, int32 [utterances of the part], ascending.
        validation: The same for the part that chooses the best epoch.
        test: The same for the part that is reported.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def names() -> tuple[str, ...]:
    """Returns the names of the splits, sorted."""
    return tuple(sorted(_SPLITS))


def content_hashes(waveforms: Sequence[np.ndarray]) -> list[str]:
    """Returns a hash of each waveform's samples, equal for equal ones.

    Args:
        waveforms: Each [samples]; compared as float32.
    """
    return [
        hashlib.blake2b(np.ascontiguousarray(waveform, "<f4").tobytes(), digest_size=16).hexdigest()
        for waveform in waveforms
    ]


def split(
    corpus: Corpus,
    name: str,
    *,
    target: str = "emotion",
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    content: Sequence[Hashable] | None = None,
) -> Split:
    """Divides a corpus in three.

    Args:
        corpus: Its utterances are sorted, so the result does not depend on how it was listed.
        name: One of `names()`.
        target: The column to be predicted, whose classes are balanced over the parts.
        fractions: The parts' shares: train, validation, test. Positive, of sum 1. A `given`
            split has its own.
        seed: Selects one of the possible splits. A `given` split has only one.
        content: What identifies each utterance's sound, such as `content_hashes` of the waveforms;
            utterances of the same content come into the same part.

    Returns:
        The split: its parts are disjoint, none is empty, together they are the corpus, every
        class is trained, and the split's promise on speakers or sessions holds.

    Raises:
        SplitError: There is no such split, or this corpus can't be split so.
    """
    if name not in _SPLITS:
        raise SplitError(unknown_name("split", name, names()))
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not np.all(shares > 0) or abs(shares.sum() - 1) > 1e-6:
        raise SplitError(f"fractions must be three positive numbers of sum 1; found {fractions}")
    if content is not None and len(content) != len(corpus):
        raise SplitError(f"{len(content)} content hashes given for {len(corpus)} utterances")
    classes = _column(corpus, target, "choose another target")
    sounds: list[Hashable] = list(range(len(corpus)) if content is None else content)

    parts = _SPLITS[name](corpus, classes, sounds, shares, np.random.default_rng(seed))
    _verify(parts, corpus, name, classes, sounds)
    return Split(name, *(np.flatnonzero(parts == part).astype(np.int32) for part in range(3)))


def _random(
    corpus: Corpus,
    classes: list[str],
    sounds: list[Hashable],
    shares: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns each utterance's part, int [utterances], every class in the requested shares.

    Groups of identical recordings are dealt largest first, in random order among equals, each to
    the part that lacks most of the class. A class of single recordings gets its shares rounded
    to whole recordings, at least one in each part.
    """
    groups = _groups(sounds)
    _, firsts, sizes = np.unique(groups, return_index=True, return_counts=True)
    of_class: dict[str, list[int]] = {}
    for group, first in enumerate(firsts):
        of_class.setdefault(classes[first], []).append(group)
    part_of_group = np.zeros(len(sizes), dtype=np.int64)
    for label in sorted(of_class):
        members = of_class[label]
        if len(members) < 3:
            raise SplitError(
                f"{corpus.name}: a random split needs 3 different recordings of every class; "
                f"{label!r} has {len(members)}"
            )
        shuffled = rng.permutation(members)
        shuffled = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
        lacking = _quotas(int(sizes[members].sum()), shares, rng)
        received = np.zeros(3, dtype=np.int64)
        for group in shuffled:
            part = min(range(3), key=lambda p: (-lacking[p], received[p]))
            part_of_group[group] = part
            lacking[part] -= sizes[group]
            received[part] += 1
    return part_of_group[groups]


def _apart(
    corpus: Corpus,
    classes: list[str],
    sounds: list[Hashable],
    shares: np.ndarray,
    rng: np.random.Generator,
    *,
    column: str,
) -> np.ndarray:
    """Returns each utterance's part, int [utterances], no value of a column in two parts.

    The best of 100 random divisions by `_imbalance`.
    """
    values = _column(corpus, column, "a random split would work")
    if len(set(values)) < 3:
        raise SplitError(
            f"{corpus.name}: a {column} split needs 3 {column}s, one for each part; found "
            f"{len(set(values))}; a random split would work"
        )
    groups = _groups(values, sounds)
    count = int(groups.max()) + 1
    if count < 3:
        raise SplitError(
            f"{corpus.name}: identical recordings tie the {column}s to {count} groups; a "
            f"{column} split needs 3"
        )
    labels, label_ids = np.unique(classes, return_inverse=True)
    table = np.zeros((count, len(labels)))
    np.add.at(table, (groups, label_ids), 1)
    best, best_score = None, np.inf
    for _ in range(_TRIALS):
        candidate = _deal(table.sum(axis=1), shares, rng)
        score = _imbalance(table, candidate, shares)
        if score < best_score:
            best, best_score = candidate, score
    if best is None:
        rarest = labels[np.argmin((table > 0).sum(axis=0))]
        raise SplitError(
            f"{corpus.name}: found no {column} split whose training part has all classes; "
            f" too few {column}s have {rarest!r}; a random split would work"
        )
    return best[groups]


def _given(
    corpus: Corpus,
    classes: list[str],
    sounds: list[Hashable],
    shares: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns each utterance's part, int [utterances]: what its session is called."""
    sessions = _column(corpus, "session", "a random split would work")
    for session in sessions:
        if session not in PARTS:
            raise SplitError(
                f"{corpus.name}: a given split needs sessions named {', '.join(PARTS)}; "
                f"found {session!r}"
            )
    return np.array([PARTS.index(session) for session in sessions], dtype=np.int64)


_SPLITS: dict[str, Callable[..., np.ndarray]] = {
    "given": _given,
    "random": _random,
    "session": functools.partial(_apart, column="session"),
    "speaker": functools.partial(_apart, column="speaker"),
}


def _column(corpus: Corpus, column: str, remedy: str) -> list[str]:
    """Returns a column that every utterance must have, or says what to do without."""
    values = corpus.column(column)
    missing = [u.path for u, value in zip(corpus.utterances, values, strict=True) if value is None]
    if missing or not values:
        useful = [c for c in ("emotion", "speaker", "text", "session") if corpus.labels(c)]
        first = f", such as {missing[0]}" if missing else ""
        raise SplitError(
            f"{corpus.name}: {len(missing)} of {len(corpus)} utterances have no {column}{first}; "
            f"the corpus has {', '.join(useful) or 'no labels'}; {remedy}"
        )
    return [str(value) for value in values]


def _groups(*columns: Sequence[Hashable]) -> np.ndarray:
    """Numbers the classes of utterances that share a value in any column, int [utterances]."""
    parent = list(range(len(columns[0])))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for column in columns:
        first: dict[Hashable, int] = {}
        for i, value in enumerate(column):
            parent[root(i)] = root(first.setdefault(value, i))
    numbers: dict[int, int] = {}
    return np.array(
        [numbers.setdefault(root(i), len(numbers)) for i in range(len(parent))], dtype=np.int64
    )


def _quotas(total: int, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rounds shares of `total` >= 3 to whole numbers of that sum, int [3], none of them zero."""
    exact = shares * total
    quotas = np.maximum(np.floor(exact).astype(np.int64), 1)
    while quotas.sum() != total:
        step = 1 if quotas.sum() < total else -1
        # What is furthest below its share gets one more, or furthest above it gives one away;
        # chance decides between equals, or one part would gain in every class.
        need = step * (exact - quotas) + rng.uniform(0, 1e-6, 3)
        quotas[np.argmax(np.where(quotas + step < 1, -np.inf, need))] += step
    return quotas


def _deal(sizes: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cuts a random order of groups in three where the running size is nearest the shares.

    Args:
        sizes: Utterances per group [groups], at least 3 groups.
        shares: [3].
        rng: Orders the groups.

    Returns:
        Part of each group, int [groups], no part without a group.
    """
    order = rng.permutation(len(sizes))
    reached = np.concatenate([[0], np.cumsum(sizes[order])]) / sizes.sum()
    first, second = (int(np.argmin(np.abs(reached - edge))) for edge in np.cumsum(shares)[:2])
    first = min(max(first, 1), len(sizes) - 2)
    second = min(max(second, first + 1), len(sizes) - 1)
    parts = np.empty(len(sizes), dtype=np.int64)
    parts[order] = np.repeat(np.arange(3), [first, second - first, len(sizes) - second])
    return parts


def _imbalance(table: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> float:
    """Scores a division of groups, 0 at best; infinite where a class is not trained.

    Args:
        table: Utterances of each group and class [groups, classes].
        parts: Part of each group, int [groups].
        shares: Requested share of each part [3].
    """
    counts = np.stack([table[parts == part].sum(axis=0) for part in range(3)])
    if np.any(counts[0] == 0):
        return np.inf
    of_class = np.abs(counts / counts.sum(axis=0) - shares[:, None]).sum(axis=0).mean()
    of_corpus = np.abs(counts.sum(axis=1) / counts.sum() - shares).sum()
    return float(of_class + of_corpus)


def _verify(
    parts: np.ndarray,
    corpus: Corpus,
    name: str,
    classes: list[str],
    sounds: list[Hashable],
) -> None:
    """Checks what every split promises, whichever way it was made."""
    sizes = Counter(PARTS[part] for part in parts.tolist())
    for part in PARTS:
        if not sizes[part]:
            raise SplitError(f"{corpus.name}: the {part} part of the {name} split is empty")
    untrained = set(classes) - {c for c, part in zip(classes, parts, strict=True) if part == 0}
    if untrained:
        raise SplitError(
            f"{corpus.name}: the training part of the {name} split has no {min(untrained)!r}"
        )
    apart: list[tuple[str, Sequence[Hashable]]] = [("recording", sounds)]
    if name in ("speaker", "session"):
        apart.append((name, corpus.column(name)))
    for what, values in apart:
        part_of: dict[Hashable, int] = {}
        for utterance, value, part in zip(corpus.utterances, values, parts.tolist(), strict=True):
            if part_of.setdefault(value, part) != part:
                raise SplitError(
                    f"{corpus.name}: the {name} split puts the same {what} in two parts: "
                    f"{utterance.path}"
                )
