"""Joining of corpora in memory."""

import numpy as np
import pytest

from serjax.data import Corpus, CorpusError, Utterance, join


def corpus(value: float, *names: str, notes: tuple[str, ...] = ()) -> Corpus:
    """Returns a corpus whose recordings have one sample, the value."""
    utterances = tuple(
        Utterance(name, "anger", "s", "t", "a", valence=value, start=i)
        for i, name in enumerate(names)
    )
    return Corpus("made", utterances, lambda u, rate: np.full(1, value, np.float32), notes)


def test_prefixes_and_indices():
    joined, indices = join(
        {"z": corpus(1, "a.wav", "b.wav", notes=("one",)), "y": corpus(2, "a.wav")}, name="both"
    )
    assert joined.name == "both"
    assert joined.column("path") == ["y/a.wav", "z/a.wav", "z/b.wav"]
    assert indices.tolist() == [2, 0, 1]
    assert [joined.read(u, 8000)[0] for u in joined.utterances] == [2, 1, 1]
    for column in ("speaker", "text", "session"):
        assert len(joined.labels(column)) == 2
    assert joined.labels("emotion") == ["anger"]
    assert joined.column("valence") == [None, None, None]
    assert joined.notes == ("z: one",)
    assert joined.measure is None


def test_shared_columns_stay_unchanged():
    corpora = {"y": corpus(1, "a.wav"), "z": corpus(2, "a.wav")}
    joined, _ = join(corpora, shared_columns=("text", "valence"))
    assert joined.column("text") == ["t", "t"]
    assert joined.column("valence") == [1, 2]
    assert joined.column("speaker") == ["y/s", "z/s"]


def test_a_single_corpus_is_refused():
    with pytest.raises(CorpusError, match="joined: expected at least 2 corpora, found 1"):
        join({"y": corpus(1, "a.wav")})
