"""Hashes of the corpus of a run, by which a resumed run recognizes it."""

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence

from serjax.data import Corpus, splits
from serjax.data.corpus import DIMENSIONS

_DIGEST_BYTES = 8


def corpus_hashes(
    corpora: Sequence[Corpus],
    target: str,
    content: Sequence[Hashable],
    split: splits.Split | None = None,
) -> dict[str, str]:
    """Hashes everything of a corpus that the results of a run depend on.

    Args:
        corpora: Corpora of the run.
        target: Column that is recognized.
        content: Hash of each waveform, corpus by corpus.
        split: Split of the only corpus; None if it follows from the options.

    Returns:
        Hashes of the "recordings" (paths and times), the "labels", the "speakers" (and sessions),
        the "sound" and, with a split, the "split", in hexadecimal digits.
    """
    utterances = [utterance for corpus in corpora for utterance in corpus.utterances]
    columns: dict[str, list[object]] = {
        "recordings": [utterance.identity for utterance in utterances],
        "labels": [[getattr(u, name) for name in (target, *DIMENSIONS)] for u in utterances],
        "speakers": [[utterance.speaker, utterance.session] for utterance in utterances],
        "sound": list(content),
    }
    if split is not None:
        columns["split"] = [s.tolist() for s in (split.train, split.validation, split.test)]
    return {name: _hash(values) for name, values in columns.items()}


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns the names of the hashes of `corpus_hashes` that differ, in order."""
    return [name for name in now if before.get(name) != now[name]]


def _hash(values: list[object]) -> str:
    content = json.dumps(values, default=repr).encode()
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()
