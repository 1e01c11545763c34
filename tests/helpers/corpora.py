"""Corpora without recordings, and what splits of them must hold."""

import numpy as np
from hypothesis import strategies as st

from serjax.data import splits
from serjax.data.corpus import Corpus, Utterance

EMOTIONS = ("anger", "neutral", "sadness")


def corpus_of(rows: list[tuple[str | None, str | None]], session: str | None = None) -> Corpus:
    """A corpus of (emotion, speaker) pairs that can't be heard."""

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        raise AssertionError("a split reads no recording")

    utterances = [
        Utterance(f"{i:04d}", emotion=emotion, speaker=speaker, session=session)
        for i, (emotion, speaker) in enumerate(rows)
    ]
    return Corpus("made", tuple(utterances), read)


def balanced(speakers: int = 10, takes: int = 4) -> Corpus:
    return corpus_of(
        [(e, f"{s:02d}") for s in range(speakers) for e in EMOTIONS for _ in range(takes)]
    )


def parts_of(split: splits.Split) -> list[np.ndarray]:
    return [split.train, split.validation, split.test]


def assert_partition(split: splits.Split, corpus: Corpus) -> None:
    parts = parts_of(split)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(corpus)))
    for part in parts:
        assert part.dtype == np.int32
        assert len(part)
        assert np.all(np.diff(part) > 0)


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
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
    for fold in folds:
        assert_partition(fold, corpus)
        assert corpus.select(fold.train).labels("emotion") == corpus.labels("emotion")
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(len(corpus)))
