"""The examples in the docstrings of the data package."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "serjax.data.batches",
        "serjax.data.corpus",
        "serjax.data.registry",
        "serjax.data.splits.grouping",
        "serjax.data.splits.holdout",
        "serjax.data.splits.k_fold",
        "serjax.data.synthetic.corpus",
    ],
)
def test_examples(module: str):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
