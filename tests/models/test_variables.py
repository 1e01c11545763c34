"""Paths and shapes of variables, and examples in the docstrings of the networks."""

import doctest
import importlib

import jax
import jax.numpy as jnp
import pytest

from serjax import models
from serjax.errors import InputError
from serjax.models import variables

PARAMS = {
    "stage1_block1": {"conv1": {"kernel": jnp.zeros(2)}, "conv2": {"kernel": jnp.zeros(2)}},
    "head": {"kernel": jnp.zeros(2), "bias": jnp.zeros(1)},
}


@pytest.mark.parametrize(
    "module",
    [
        *("catalogue", "feature_extraction", "registry", "variables"),
        *(f"pretrained.{name}" for name in ("alexnet", "inception", "resnet", "squeezenet", "vgg")),
    ],
)
def test_examples_in_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(f"serjax.models.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_leaves_are_named_by_path():
    assert list(variables.leaves_by_path(PARAMS)) == [
        ("head", "bias"),
        ("head", "kernel"),
        ("stage1_block1", "conv1", "kernel"),
        ("stage1_block1", "conv2", "kernel"),
    ]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("head", ("head",), True),
        ("head", ("classifier", "head"), False),
        ("(.*/)?head", ("classifier", "head"), True),
        ("stage1_block1", ("stage1_block1", "conv1"), True),
        ("stage1_block1/conv1", ("stage1_block1", "conv2"), False),
        ("stage", ("stage1_block1",), False),
    ],
)
def test_patterns_match_modules_and_those_that_contain_them(pattern, path, expected):
    assert variables.matches(pattern, path) is expected


def test_patterns_without_a_layer_are_refused():
    variables.check_patterns(["head", ".*/conv[12]"], PARAMS)
    with pytest.raises(InputError, match="'haed': expected to match a layer, found 3 and none"):
        variables.check_patterns(["head", "haed"], PARAMS)
    with pytest.raises(InputError, match=r"'\(': not a regular expression"):
        variables.check_patterns(["("], PARAMS)


@pytest.mark.parametrize(("name", "has_statistics"), [("dscnn", True), ("vgg16", False)])
def test_shapes_have_both_collections(name, has_statistics):
    model = models.create(name, 3)
    shapes = variables.variable_shapes(model, (1, 64, 64, 1))
    assert set(shapes) == {"params", "batch_stats"}
    assert bool(shapes["batch_stats"]) is has_statistics
    assert shapes["params"]["head"]["bias"] == jax.ShapeDtypeStruct((3,), jnp.float32)
