"""Several corpora as one."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from serjax.data.corpus import DIMENSIONS, Corpus, CorpusError, Identity, Utterance

_TEXT_COLUMNS = ("speaker", "text", "session")


def join(
    corpora: Mapping[str, Corpus], name: str = "joined", shared_columns: Collection[str] = ()
) -> tuple[Corpus, np.ndarray]:
    """Joins corpora. Their emotions are compared by name.

    Paths, speakers, texts and sessions get the prefix of their corpus, so that speaker 1 of one
    corpus differs from speaker 1 of another. Valence, activation and dominance are dropped,
    because every corpus has its own scale of them.

    Args:
        corpora: The corpora by their prefix; at least two.
        name: Name of the joined corpus.
        shared_columns: Columns whose values mean the same in all corpora. They stay unchanged.

    Returns:
        The joined corpus with the notes of all corpora, and for each of its utterances the index
        among those of the corpora, one corpus after the other, int64 `[utterances]`.

    Raises:
        CorpusError: There are fewer than two corpora.
    """
    if len(corpora) < 2:
        raise CorpusError(f"{name}: expected at least 2 corpora, found {len(corpora)}")
    utterances: list[Utterance] = []
    origin: dict[Identity, tuple[int, Corpus, Utterance]] = {}
    for prefix, corpus in corpora.items():
        for original in corpus.utterances:
            utterance = _with_prefix(original, prefix, shared_columns)
            origin[utterance.identity] = len(utterances), corpus, original
            utterances.append(utterance)

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        _, corpus, original = origin[utterance.identity]
        return corpus.read(original, sample_rate)

    def measure(utterance: Utterance, sample_rate: int) -> tuple[int, str]:
        _, corpus, original = origin[utterance.identity]
        assert corpus.measure is not None
        return corpus.measure(original, sample_rate)

    has_measure = all(corpus.measure is not None for corpus in corpora.values())
    notes = tuple(
        f"{prefix}: {note}" for prefix, corpus in corpora.items() for note in corpus.notes
    )
    joined = Corpus(name, tuple(utterances), read, notes, measure=measure if has_measure else None)
    indices = [origin[utterance.identity][0] for utterance in joined.utterances]
    return joined, np.array(indices, dtype=np.int64)


def _with_prefix(utterance: Utterance, prefix: str, shared_columns: Collection[str]) -> Utterance:
    """Returns an utterance as it is called in a joined corpus."""
    changes: dict[str, str | None] = {"path": f"{prefix}/{utterance.path}"}
    for column in _TEXT_COLUMNS:
        value = getattr(utterance, column)
        if value is not None and column not in shared_columns:
            changes[column] = f"{prefix}/{value}"
    changes |= {column: None for column in DIMENSIONS if column not in shared_columns}
    return replace(utterance, **changes)  # type: ignore[arg-type]
