"""Training, validation and test parts of a corpus, with nothing shared that must not be.

`split` divides a corpus once:

- `random`: every class divided in the requested proportions. Speakers are shared, so it measures
  how well known speakers are recognized.
- `speaker`: no speaker is in two parts.
- `session`: no session is in two parts.
- `given`: the corpus's own partition: its sessions are named train, validation and test, or a CSV
  file says which part each recording is in.

`folds` divides it so often that every utterance is tested once: `random`, `speaker` and `session`
in as many folds as are asked for, and leaving one speaker or session out. `cross` trains on one
corpus and tests on another.

A recording, and recordings of identical content, are never separated; where a protocol leaves no
choice but to separate them, it is refused.
"""

from serjax.data.splits.cross_corpus import CorpusSplit, shared_classes, split_cross_corpus
from serjax.data.splits.groups import SPLIT_NAMES, Split, SplitError, content_hash
from serjax.data.splits.holdout import names, split
from serjax.data.splits.k_fold import folds, parse_fold, protocols

__all__ = [
    "SPLIT_NAMES",
    "CorpusSplit",
    "Split",
    "SplitError",
    "content_hash",
    "folds",
    "names",
    "parse_fold",
    "protocols",
    "shared_classes",
    "split",
    "split_cross_corpus",
]
