"""Cross-corpus splits: training on one corpus, testing on another."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from serjax.data.corpus import DIMENSIONS, Corpus
from serjax.data.join import join
from serjax.data.splits.assignment import assign_groups, assign_stratified
from serjax.data.splits.grouping import recording_ids
from serjax.data.splits.partition import Split, SplitError, required_column, verify
from serjax.errors import unknown_name

_SPLITS = ("random", "session", "speaker")


@dataclass(frozen=True)
class CorpusSplit:
    """A corpus and its split; of a cross-corpus split, both corpora joined.

    Attributes:
        corpus: The utterances of both corpora. Paths, speakers and sessions begin with the name of
            their corpus, so that speaker 01 of one corpus differs from speaker 01 of the other.
        split: The training and validation sets are from the first corpus, the test set is the
            second corpus.
        indices: Index of each utterance among those of the first and then the second corpus,
            int [utterances].
    """

    corpus: Corpus
    split: Split
    indices: np.ndarray


def shared_classes(train: Corpus, test: Corpus, target: str = "emotion") -> tuple[Corpus, Corpus]:
    """Removes the utterances of classes that only one of two corpora has.

    Args:
        train: The corpus that is trained on.
        test: The corpus that is tested on.
        target: Column that holds the classes.

    Returns:
        Both corpora without these utterances; notes count the removed ones.

    Raises:
        SplitError: The corpora have fewer than two classes in common.
    """
    shared = set(train.labels(target)) & set(test.labels(target))
    if len(shared) < 2:
        raise SplitError(
            f"expected at least 2 classes of {target} common to {train.name} and {test.name}; "
            f"found {', '.join(sorted(shared)) or 'none'}; {train.name} has "
            f"{', '.join(train.labels(target)) or 'none'}, {test.name} has "
            f"{', '.join(test.labels(target)) or 'none'}"
        )
    return _select_classes(train, target, shared), _select_classes(test, target, shared)


def split_cross_corpus(
    train: Corpus,
    test: Corpus,
    *,
    split: str = "speaker",
    target: str = "emotion",
    validation: float = 0.25,
    seed: int = 0,
    content: Sequence[Hashable] | None = None,
) -> CorpusSplit:
    """Splits one corpus into training and validation sets, with another corpus as the test set.

    Args:
        train: The corpus of the training and validation sets.
        test: The corpus of the test set.
        split: Group by which the training and validation sets are disjoint: "random" (only
            recordings), "speaker" or "session".
        target: Column to be predicted. Both corpora must have the same classes, see
            `shared_classes`.
        validation: Fraction of the validation set in the training corpus, in (0, 1).
        seed: Seed that selects one of the possible splits.
        content: Identifier of the sound of each utterance of `train` and then of `test`, see
            `same_sound`.

    Returns:
        Both corpora as one, and its split.

    Raises:
        SplitError: The split does not exist, the training corpus does not allow it, the classes
            differ, or a recording is in both corpora.
    """
    if split not in _SPLITS:
        raise SplitError(unknown_name("split of a training corpus", split, _SPLITS))
    if not 0 < validation < 1:
        raise SplitError(f"validation: expected a fraction in (0, 1), found {validation}")
    if train.labels(target) != test.labels(target):
        raise SplitError(
            f"{train.name} and {test.name} must have the same classes of {target}; only one has "
            f"{', '.join(sorted(set(train.labels(target)) ^ set(test.labels(target))))}"
        )
    prefixes = (train.name, test.name)
    if train.name == test.name:
        prefixes = (f"{train.name}-train", f"{test.name}-test")
    corpus, indices = join(
        dict(zip(prefixes, (train, test), strict=True)),
        name=f"{train.name} to {test.name}",
        shared_columns=("text", *DIMENSIONS),
    )
    if content is not None and len(content) != len(corpus):
        raise SplitError(f"{len(content)} content hashes given for {len(corpus)} utterances")
    of_train = recording_ids(train, None if content is None else list(content)[: len(train)])
    classes = required_column(train, target, "choose another target")
    fractions, rng = np.array([1 - validation, validation]), np.random.default_rng(seed)
    if split == "random":
        train_ids = assign_stratified(train, classes, of_train, fractions, rng)
    else:
        train_ids = assign_groups(
            train,
            classes,
            of_train,
            fractions,
            rng,
            group_by=split,
            trained_classes=lambda counts: counts[0] > 0,
        )
    split_ids = np.concatenate([train_ids, np.full(len(test), 2)])[indices]
    recordings = recording_ids(corpus, None if content is None else [content[i] for i in indices])
    group_columns = () if split == "random" else (split,)
    classes = [str(value) for value in corpus.column(target)]
    verify(split_ids, corpus, "cross", classes, recordings, group_columns)
    return CorpusSplit(corpus, Split.from_ids("cross", split_ids), indices)


def _select_classes(corpus: Corpus, target: str, classes: set[str]) -> Corpus:
    """Returns the utterances of the classes, with a note on the others."""
    values = corpus.column(target)
    selected = [i for i, value in enumerate(values) if value in classes]
    if len(selected) == len(corpus):
        return corpus
    others = sorted({str(value) for value in values} - classes)
    note = f"{len(corpus) - len(selected)} utterances of {', '.join(others)} left out"
    result = corpus.select(selected)
    return replace(result, notes=(*result.notes, note))
