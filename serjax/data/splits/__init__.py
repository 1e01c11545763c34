"""Training, validation and test sets of a corpus, which share nothing that they must not share.

`split` splits a corpus once:

- `random`: stratified; every class has the requested fractions. Speakers are shared, so the results
  are speaker-dependent.
- `speaker`: the sets are disjoint by speaker (speaker-independent).
- `session`: the sets are disjoint by session.
- `predefined`: the official split of the corpus. Its sessions are named train, validation and test,
  or a CSV file lists the set of each recording.

`folds` splits a corpus for cross-validation, so that every utterance is tested once: `random`,
`speaker` and `session` with any number of folds, and protocols that leave one speaker (LOSO) or
session out. `split_cross_corpus` trains on one corpus and tests on another.

Recordings of the same sound, in whatever format, are always in the same set. A protocol that would
separate them is refused.
"""

from serjax.data.splits.cross_corpus import CorpusSplit, shared_classes, split_cross_corpus
from serjax.data.splits.fingerprint import content_hash, content_id, same_sound
from serjax.data.splits.holdout import names, split
from serjax.data.splits.k_fold import folds, parse_fold, protocols
from serjax.data.splits.partition import SPLIT_NAMES, Split, SplitError

__all__ = [
    "SPLIT_NAMES",
    "CorpusSplit",
    "Split",
    "SplitError",
    "content_hash",
    "content_id",
    "folds",
    "names",
    "parse_fold",
    "protocols",
    "same_sound",
    "shared_classes",
    "split",
    "split_cross_corpus",
]
