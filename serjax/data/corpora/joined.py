"""Several corpora as one."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from serjax.data.corpus import Corpus, CorpusError, Utterance


def join(corpora: Mapping[str, Corpus]) -> Corpus:
    """Joins corpora; emotions are compared by name, nothing else is common.

    Args:
        corpora: By the name that precedes their paths, speakers, texts and sessions, so that
            speaker 1 of one is not speaker 1 of another. The scales of their dimensions differ,
            and are left out.

    Returns:
        The corpus "joined", with the notes of all.

    Raises:
        CorpusError: Fewer than two corpora.
    """
    if len(corpora) < 2:
        raise CorpusError(f"joined: expected at least 2 corpora, found {len(corpora)}")
    utterances: list[Utterance] = []
    origin: dict[tuple[str, float | None, float | None], tuple[Corpus, Utterance]] = {}
    for name, corpus in corpora.items():
        for utterance in corpus.utterances:
            one = replace(
                utterance,
                path=f"{name}/{utterance.path}",
                speaker=_within(name, utterance.speaker),
                text=_within(name, utterance.text),
                session=_within(name, utterance.session),
                valence=None,
                activation=None,
                dominance=None,
            )
            utterances.append(one)
            origin[one.path, one.start, one.end] = corpus, utterance

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        corpus, original = origin[utterance.path, utterance.start, utterance.end]
        return corpus.read(original, sample_rate)

    def measure(utterance: Utterance, sample_rate: int) -> tuple[int, str]:
        corpus, original = origin[utterance.path, utterance.start, utterance.end]
        assert corpus.measure is not None
        return corpus.measure(original, sample_rate)

    measured = all(corpus.measure is not None for corpus in corpora.values())
    notes = (f"{name}: {note}" for name, corpus in corpora.items() for note in corpus.notes)
    return Corpus(
        "joined", tuple(utterances), read, tuple(notes), measure=measure if measured else None
    )


def _within(corpus: str, value: str | None) -> str | None:
    return None if value is None else f"{corpus}/{value}"
