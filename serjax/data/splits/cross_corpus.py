"""Cross-corpus tests: training on one corpus, testing on another."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from serjax.data.corpus import Corpus, Utterance
from serjax.data.splits.assignment import assign_groups, assign_stratified
from serjax.data.splits.groups import Split, SplitError, column, made, recordings, verify
from serjax.errors import unknown_name

_SPLITS = ("random", "session", "speaker")


@dataclass(frozen=True)
class CorpusSplit:
    """Two corpora as one, and its split.

    Attributes:
        corpus: The utterances of both. Paths, speakers and sessions begin with their corpus's
            name: speaker 01 of one is not speaker 01 of the other.
        split: Train and validation are the first corpus, test is the second.
        source: Where each utterance stood among those of the first and then the second corpus,
            int [utterances].
    """

    corpus: Corpus
    split: Split
    indices: np.ndarray


def shared_classes(train: Corpus, test: Corpus, target: str = "emotion") -> tuple[Corpus, Corpus]:
    """Returns the corpora without utterances of a class that the other one lacks.

    Notes say what was left out.

    Raises:
        SplitError: They have fewer than two classes in common.
    """
    shared = set(train.labels(target)) & set(test.labels(target))
    if len(shared) < 2:
        raise SplitError(
            f"expected at least 2 classes of {target} common to {train.name} and {test.name}; "
            f"found {', '.join(sorted(shared)) or 'none'}; {train.name} has "
            f"{', '.join(train.labels(target)) or 'none'}, {test.name} has "
            f"{', '.join(test.labels(target)) or 'none'}"
        )
    return _only(train, target, shared), _only(test, target, shared)


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
    """Trains on one corpus and tests on all of another.

    Args:
        train: Divided in training and validation parts.
        test: Tested as a whole.
        split: What the training and the validation part don't share: "random" (only recordings),
            "speaker" or "session".
        target: The column to be predicted. Both corpora must have the same classes (`common`).
        validation: The validation part's share of the training corpus, in (0, 1).
        seed: Selects one of the possible divisions.
        content: What identifies the sound of each utterance of `train` and then of `test`, such as
            `content_hash` of the waveforms.

    Raises:
        SplitError: There is no such split, the training corpus can't be divided so, the classes
            differ, or a recording is in both corpora.
    """
    if split not in _SPLITS:
        raise SplitError(unknown_name("split of a training corpus", split, _SPLITS))
    if not 0 < validation < 1:
        raise SplitError(f"validation: expected a share in (0, 1), found {validation}")
    if train.labels(target) != test.labels(target):
        raise SplitError(
            f"{train.name} and {test.name} must have the same classes of {target}; only one has "
            f"{', '.join(sorted(set(train.labels(target)) ^ set(test.labels(target))))}"
        )
    corpus, source = _joined(train, test)
    if content is not None and len(content) != len(corpus):
        raise SplitError(f"{len(content)} content hashes given for {len(corpus)} utterances")
    of_train = recordings(train, None if content is None else list(content)[: len(train)])
    classes = column(train, target, "choose another target")
    shares, rng = np.array([1 - validation, validation]), np.random.default_rng(seed)
    if split == "random":
        divided = assign_stratified(train, classes, of_train, shares, rng)
    else:
        divided = assign_groups(
            train, classes, of_train, shares, rng, what=split, trained=lambda counts: counts[0] > 0
        )
    parts = np.concatenate([divided, np.full(len(test), 2)])[source]
    recording = recordings(corpus, None if content is None else [content[i] for i in source])
    apart = () if split == "random" else (split,)
    verify(parts, corpus, "cross", [str(c) for c in corpus.column(target)], recording, apart)
    return CorpusSplit(corpus, made("cross", parts), source)


def _only(corpus: Corpus, target: str, classes: set[str]) -> Corpus:
    """The utterances of some classes, with a note on the others."""
    values = corpus.column(target)
    kept = [i for i, value in enumerate(values) if value in classes]
    if len(kept) == len(corpus):
        return corpus
    others = sorted({str(value) for value in values} - classes)
    note = f"{corpus.name}: {len(corpus) - len(kept)} utterances of {', '.join(others)} left out"
    selected = corpus.select(kept)
    return replace(selected, notes=(*selected.notes, note))


def _joined(train: Corpus, test: Corpus) -> tuple[Corpus, np.ndarray]:
    """Both corpora as one, and where each of its utterances stood."""
    prefixes = [train.name, test.name]
    if train.name == test.name:
        prefixes = [f"{train.name}-train", f"{test.name}-test"]
    origin: dict[Utterance, tuple[Corpus, Utterance]] = {}
    for corpus, prefix in zip((train, test), prefixes, strict=True):
        for utterance in corpus.utterances:
            named = replace(
                utterance,
                path=f"{prefix}/{utterance.path}",
                speaker=utterance.speaker and f"{prefix}/{utterance.speaker}",
                session=utterance.session and f"{prefix}/{utterance.session}",
            )
            origin[named] = (corpus, utterance)

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        corpus, original = origin[utterance]
        return corpus.read(original, sample_rate)

    place = {utterance: i for i, utterance in enumerate(origin)}
    name = f"{train.name} to {test.name}"
    joined = Corpus(name, tuple(origin), read, (*train.notes, *test.notes))
    return joined, np.array([place[utterance] for utterance in joined.utterances], dtype=np.int64)
