"""Sets of runs: cross-validation, cross-corpus tests, ensembles, batched runs."""

from serjax.protocols.batching import CHOICES
from serjax.protocols.run_set import check_folds, cross_corpus, cross_validate
from serjax.training.config.variants import for_models

__all__ = ["CHOICES", "check_folds", "cross_corpus", "cross_validate", "for_models"]
