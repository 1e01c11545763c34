"""Assignment of utterances to sets or folds: stratified by class, or disjoint by a group column."""

import math
from collections.abc import Callable

import numpy as np

from serjax.data.corpus import Corpus
from serjax.data.splits.grouping import connected_groups
from serjax.data.splits.partition import SplitError, required_column

# scikit-learn's splitters keep groups together but take no fractions, or fractions without classes,
# and none joins groups that share a recording.

# The numbers of random assignments that are compared. They are large enough to come close to the
# requested fractions, and small enough that another seed gives another split: EMO-DB's ten speakers
# split 6:2:2 in only 1,260 ways, and 3:1 in about 80, of which a hundred trials would find the same
# best one with most seeds.
_MAX_TRIALS = 100
_WAYS_PER_TRIAL = 12


def assign_stratified(
    corpus: Corpus,
    classes: list[str],
    recordings: np.ndarray,
    fractions: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Assigns utterances to bins, with the requested fractions of every class.

    Recordings are assigned largest first, in random order among equals, each to the bin with the
    most missing utterances of its class. If every recording is one utterance, a class has its
    fractions rounded to whole recordings, at least one in each bin if it has enough.

    Args:
        corpus: The corpus.
        classes: Class of each utterance.
        recordings: Number of each utterance's recording, int [utterances].
        fractions: Fraction of each bin [bins], of sum 1.
        rng: Random generator of the order.

    Returns:
        Bin of each utterance, int [utterances].

    Raises:
        SplitError: A class has too few recordings.
    """
    _, firsts, sizes = np.unique(recordings, return_index=True, return_counts=True)
    needed = min(len(fractions), 3)
    groups_of_class: dict[str, list[int]] = {}
    for group, first in enumerate(firsts):
        groups_of_class.setdefault(classes[first], []).append(group)
    bin_of_group = np.zeros(len(sizes), dtype=np.int64)
    for label in sorted(groups_of_class):
        groups = groups_of_class[label]
        if len(groups) < needed:
            raise SplitError(
                f"{corpus.name}: a random split needs {needed} different recordings of every "
                f"class; {label!r} has {len(groups)}"
            )
        shuffled = rng.permutation(groups)
        shuffled = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
        missing = _quotas(int(sizes[groups].sum()), fractions, rng)
        received = np.zeros(len(fractions), dtype=np.int64)
        for group in shuffled:
            chosen = min(range(len(fractions)), key=lambda b: (-missing[b], received[b]))
            bin_of_group[group] = chosen
            missing[chosen] -= sizes[group]
            received[chosen] += 1
    return bin_of_group[recordings]


def assign_groups(
    corpus: Corpus,
    classes: list[str],
    recordings: np.ndarray,
    fractions: np.ndarray,
    rng: np.random.Generator,
    *,
    group_by: str,
    trained_classes: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Assigns utterances to bins that are disjoint by a column.

    Several random assignments are tried, and the one with the least imbalance is returned.

    Args:
        corpus: The corpus.
        classes: Class of each utterance.
        recordings: Number of each utterance's recording, int [utterances].
        fractions: Fraction of each bin [bins], of sum 1.
        rng: Random generator of the assignments.
        group_by: The column, such as "speaker".
        trained_classes: Function from counts [bins, classes] to a bool for each class: True if
            every training set has the class.

    Returns:
        Bin of each utterance, int [utterances].

    Raises:
        SplitError: The column has too few values, or no assignment trains all classes.
    """
    needed = len(fractions)
    values = required_column(corpus, group_by, "a random split would work")
    if len(set(values)) < needed:
        raise SplitError(
            f"{corpus.name}: a {group_by} split needs {needed} {group_by}s, one for each set; "
            f"found {len(set(values))}; a random split would work"
        )
    groups = connected_groups(values, recordings.tolist())
    count = int(groups.max()) + 1
    if count < needed:
        first: dict[int, int] = {}
        pair = next(
            (first[recording], i)
            for i, recording in enumerate(recordings.tolist())
            if values[first.setdefault(recording, i)] != values[i]
        )
        names = " and ".join(str(corpus.utterances[i].identity) for i in pair)
        raise SplitError(
            f"{corpus.name}: recordings of the same sound, such as {names}, tie the "
            f"{group_by}s to {count} groups; a {group_by} split needs {needed}"
        )
    labels, label_ids = np.unique(classes, return_inverse=True)
    table = np.zeros((count, len(labels)))
    np.add.at(table, (groups, label_ids), 1)
    best, best_score, remaining = None, np.inf, _number_of_trials(count, fractions)
    for _ in range(_MAX_TRIALS):
        candidate = _assign_in_random_order(table.sum(axis=1), fractions, rng)
        counts = np.stack([table[candidate == b].sum(axis=0) for b in range(needed)])
        if not np.all(trained_classes(counts)):
            continue
        score = _imbalance(counts, fractions)
        if score < best_score:
            best, best_score = candidate, score
        remaining -= 1
        if not remaining:
            break
    if best is None:
        rarest = labels[np.argmin((table > 0).sum(axis=0))]
        raise SplitError(
            f"{corpus.name}: found no {group_by} split whose training set has all classes; "
            f"too few {group_by}s have {str(rarest)!r}; a random split would work"
        )
    return best[groups]


def _number_of_trials(groups: int, fractions: np.ndarray) -> int:
    """Returns the number of assignments of `groups` groups to compare, at least 1."""
    # Where a fraction is no whole number of groups, the gamma function interpolates the factorial.
    log_factorials = [math.lgamma(fraction * groups + 1) for fraction in fractions]
    ways = math.exp(min(math.lgamma(groups + 1) - sum(log_factorials), 20.0))
    return max(min(round(ways / _WAYS_PER_TRIAL), _MAX_TRIALS), 1)


def _quotas(total: int, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rounds fractions of `total` to whole numbers of that sum, int [bins], 0 only if necessary."""
    exact = fractions * total
    least = 1 if total >= len(fractions) else 0
    quotas = np.maximum(np.floor(exact).astype(np.int64), least)
    while quotas.sum() != total:
        step = 1 if quotas.sum() < total else -1
        # The bin furthest below its fraction gets one more, or the one furthest above loses one.
        # Ties are broken at random; otherwise one bin would gain in every class.
        need = step * (exact - quotas) + rng.uniform(0, 1e-6, len(fractions))
        quotas[np.argmax(np.where(quotas + step < least, -np.inf, need))] += step
    return quotas


def _assign_in_random_order(
    sizes: np.ndarray, fractions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Shuffles groups and cuts their order where the cumulative size is nearest the fractions.

    Args:
        sizes: Utterances per group [groups], at least one group per bin.
        fractions: Fraction of each bin [bins], of sum 1.
        rng: Random generator of the order.

    Returns:
        Bin of each group, int [groups]; every bin has a group.
    """
    order = rng.permutation(len(sizes))
    cumulative = np.concatenate([[0], np.cumsum(sizes[order])]) / sizes.sum()
    ends = [0]
    for i, edge in enumerate(np.cumsum(fractions)[:-1]):
        nearest = int(np.argmin(np.abs(cumulative - edge)))
        later = len(fractions) - 1 - i  # bins that still need a group each
        ends.append(min(max(nearest, ends[-1] + 1), len(sizes) - later))
    bins = np.empty(len(sizes), dtype=np.int64)
    bins[order] = np.repeat(np.arange(len(fractions)), np.diff([*ends, len(sizes)]))
    return bins


def _imbalance(counts: np.ndarray, fractions: np.ndarray) -> float:
    """Returns the deviation of an assignment from the requested fractions, 0 at best.

    Args:
        counts: Utterances of each bin and class [bins, classes]; no class is empty.
        fractions: Requested fraction of each bin [bins].
    """
    of_classes = np.abs(counts / counts.sum(axis=0) - fractions[:, None]).sum(axis=0).mean()
    of_corpus = np.abs(counts.sum(axis=1) / counts.sum() - fractions).sum()
    return float(of_classes + of_corpus)
