"""Dealing utterances to parts or folds: class by class, or speaker by speaker."""

import math
from collections.abc import Callable

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.groups import SplitError, column, groups

# Enough to come close to the requested proportions, few enough that another seed finds another
# split: EMO-DB's ten speakers divide 6:2:2 in only 1,260 ways, and 3:1 in about 80, of which a
# hundred trials would find the same best one with most seeds.
_MOST_TRIALS = 100
_WAYS_OF_A_TRIAL = 12


def assign_stratified(
    corpus: Corpus,
    classes: list[str],
    recording: np.ndarray,
    shares: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns each utterance's part, int [utterances], every class in the requested shares.

    Groups of identical recordings are dealt largest first, in random order among equals, each to
    the part that lacks most of the class. A class of single recordings gets its shares rounded
    to whole recordings, at least one in each part if there are so many.
    """
    _, firsts, sizes = np.unique(recording, return_index=True, return_counts=True)
    needed = min(len(shares), 3)
    of_class: dict[str, list[int]] = {}
    for group, first in enumerate(firsts):
        of_class.setdefault(classes[first], []).append(group)
    part_of_group = np.zeros(len(sizes), dtype=np.int64)
    for label in sorted(of_class):
        members = of_class[label]
        if len(members) < needed:
            raise SplitError(
                f"{corpus.name}: a random split needs {needed} different recordings of every "
                f"class; {label!r} has {len(members)}"
            )
        shuffled = rng.permutation(members)
        shuffled = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
        lacking = _quotas(int(sizes[members].sum()), shares, rng)
        received = np.zeros(len(shares), dtype=np.int64)
        for group in shuffled:
            part = min(range(len(shares)), key=lambda p: (-lacking[p], received[p]))
            part_of_group[group] = part
            lacking[part] -= sizes[group]
            received[part] += 1
    return part_of_group[recording]


def assign_groups(
    corpus: Corpus,
    classes: list[str],
    recording: np.ndarray,
    shares: np.ndarray,
    rng: np.random.Generator,
    *,
    what: str,
    trained: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Returns each utterance's part, int [utterances], no value of a column in two parts.

    The best of as many random divisions, by `_imbalance`, as `_enough` are.

    Args:
        corpus: What is divided.
        classes: Class of each utterance.
        recording: Number of each utterance's recording, int [utterances].
        shares: Of the parts [parts], of sum 1.
        rng: Draws the divisions.
        what: The column.
        trained: Counts [parts, classes] -> for each class whether every training part has it.
    """
    needed = len(shares)
    values = column(corpus, what, "a random split would work")
    if len(set(values)) < needed:
        raise SplitError(
            f"{corpus.name}: a {what} split needs {needed} {what}s, one for each part; found "
            f"{len(set(values))}; a random split would work"
        )
    tied = groups(values, recording.tolist())
    count = int(tied.max()) + 1
    if count < needed:
        raise SplitError(
            f"{corpus.name}: identical recordings tie the {what}s to {count} groups; a "
            f"{what} split needs {needed}"
        )
    labels, label_ids = np.unique(classes, return_inverse=True)
    table = np.zeros((count, len(labels)))
    np.add.at(table, (tied, label_ids), 1)
    best, best_score, left = None, np.inf, _enough(count, shares)
    for _ in range(_MOST_TRIALS):
        candidate = _cut(table.sum(axis=1), shares, rng)
        counts = np.stack([table[candidate == part].sum(axis=0) for part in range(needed)])
        if not np.all(trained(counts)):
            continue
        score = _imbalance(counts, shares)
        if score < best_score:
            best, best_score = candidate, score
        left -= 1
        if not left:
            break
    if best is None:
        rarest = labels[np.argmin((table > 0).sum(axis=0))]
        raise SplitError(
            f"{corpus.name}: found no {what} split whose training part has all classes; "
            f"too few {what}s have {str(rarest)!r}; a random split would work"
        )
    return best[tied]


def _enough(count: int, shares: np.ndarray) -> int:
    """Divisions of so many groups to choose from, at least 1."""
    # Of shares that are no whole numbers of groups, the gamma function is between its neighbours.
    sizes = [math.lgamma(share * count + 1) for share in shares]
    ways = math.exp(min(math.lgamma(count + 1) - sum(sizes), 20.0))
    return max(min(round(ways / _WAYS_OF_A_TRIAL), _MOST_TRIALS), 1)


def _quotas(total: int, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rounds shares of `total` to whole numbers of that sum, int [parts], zero only by need."""
    exact = shares * total
    least = 1 if total >= len(shares) else 0
    quotas = np.maximum(np.floor(exact).astype(np.int64), least)
    while quotas.sum() != total:
        step = 1 if quotas.sum() < total else -1
        # What is furthest below its share gets one more, or furthest above it gives one away;
        # chance decides between equals, or one part would gain in every class.
        need = step * (exact - quotas) + rng.uniform(0, 1e-6, len(shares))
        quotas[np.argmax(np.where(quotas + step < least, -np.inf, need))] += step
    return quotas


def _cut(sizes: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cuts a random order of groups where the running size is nearest the shares.

    Args:
        sizes: Utterances per group [groups], at least one group per share.
        shares: [parts], of sum 1.
        rng: Orders the groups.

    Returns:
        Part of each group, int [groups], no part without a group.
    """
    order = rng.permutation(len(sizes))
    reached = np.concatenate([[0], np.cumsum(sizes[order])]) / sizes.sum()
    ends = [0]
    for part, edge in enumerate(np.cumsum(shares)[:-1]):
        nearest = int(np.argmin(np.abs(reached - edge)))
        later = len(shares) - 1 - part  # parts that still need a group each
        ends.append(min(max(nearest, ends[-1] + 1), len(sizes) - later))
    parts = np.empty(len(sizes), dtype=np.int64)
    parts[order] = np.repeat(np.arange(len(shares)), np.diff([*ends, len(sizes)]))
    return parts


def _imbalance(counts: np.ndarray, shares: np.ndarray) -> float:
    """Scores a division, 0 at best.

    Args:
        counts: Utterances of each part and class [parts, classes], no class without any.
        shares: Requested share of each part [parts].
    """
    of_class = np.abs(counts / counts.sum(axis=0) - shares[:, None]).sum(axis=0).mean()
    of_corpus = np.abs(counts.sum(axis=1) / counts.sum() - shares).sum()
    return float(of_class + of_corpus)
