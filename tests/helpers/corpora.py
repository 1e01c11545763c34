"""Corpora without recordings, and assertions on their splits."""

import numpy as np
from hypothesis import strategies as st

from serjax.data import splits
from serjax.data.corpus import Corpus, Utterance

EMOTIONS = ("anger", "neutral", "sadness")


def corpus_of(rows: list[tuple[str | None, str | None]], session: str | None = None) -> Corpus:
    """Returns a corpus of (emotion, speaker) pairs whose recordings cannot be read."""

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        raise AssertionError("a split reads no recording")

    utterances = [
        Utterance(f"{i:04d}", emotion=emotion, speaker=speaker, session=session)
        for i, (emotion, speaker) in enumerate(rows)
    ]
    return Corpus("made", tuple(utterances), read)


def balanced(speakers: int = 10, takes: int = 4) -> Corpus:
    """Returns a corpus with the same number of utterances of each speaker and emotion."""
    return corpus_of(
        [(e, f"{s:02d}") for s in range(speakers) for e in EMOTIONS for _ in range(takes)]
    )


def sets_of(split: splits.Split) -> list[np.ndarray]:
    """Returns the indices of the training, validation and test sets."""
    return [split.train, split.validation, split.test]


def assert_partition(split: splits.Split, corpus: Corpus) -> None:
    """Asserts that the sets are disjoint, ascending, not empty, and together the corpus."""
    sets = sets_of(split)
    assert sorted(np.concatenate(sets).tolist()) == list(range(len(corpus)))
    for indices in sets:
        assert indices.dtype == np.int32
        assert len(indices)
        assert np.all(np.diff(indices) > 0)


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    """Samples corpora of up to nine speakers."""
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(EMOTIONS), st.sampled_from([f"{i:02d}" for i in range(9)])),
            min_size=12,
            max_size=80,
        )
    )
    return corpus_of(rows)


seeds = st.integers(0, 2**31)


def assert_tested_once(folds: list[splits.Split], corpus: Corpus) -> None:
    """Asserts that every utterance is in the test set of one fold, and every class is trained."""
    for fold in folds:
        assert_partition(fold, corpus)
        assert corpus.select(fold.train).labels("emotion") == corpus.labels("emotion")
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(len(corpus)))
