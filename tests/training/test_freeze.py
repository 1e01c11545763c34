"""Frozen layers: their parameters, statistics, gradients and moments."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax import models
from serjax.data import batches
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import Checkpoints, create_state, make_train_step
from serjax.training.optimization import freeze
from tests.helpers.networks import random_variables

pytestmark = pytest.mark.usefixtures("standard_promotion")

FRONT_END = dataclasses.replace(front_ends.GUIZZO_REAL, frames=64, bins=32, segment_seconds=0.5)
OPTIONS = {"blocks": (1, 1), "channels": 8}


def examples():
    rng = np.random.default_rng(0)
    waveforms = [rng.uniform(-0.5, 0.5, 8000).astype(np.float32) for _ in range(6)]
    size = FRONT_END.segment_samples
    return jax.device_put(batches.pack(waveforms, [0, 1, 2, 0, 1, 2], size, room=size))


def setup(name, transformation, frozen, key):
    """Returns the step and the initial state of a small network."""
    model = models.create(name, 3, **OPTIONS)
    optimizer = freeze.optimizer(transformation, frozen)
    step = make_train_step(model, FRONT_END, optimizer, key, 3, frozen=frozen)
    return step, create_state(model, optimizer, key, (1, 64, 32, 1))


def states(step, state, steps):
    """Returns the state before the first and after every step, copied, as steps donate theirs."""
    data, indices = examples(), jnp.arange(6, dtype=jnp.int32)
    copies = [jax.tree.map(np.array, state)]
    for _ in range(steps):
        state, _ = step(state, data, indices)
        copies.append(jax.tree.map(np.array, state))
    return copies


def layers(tree):
    return {freeze.leaf_path(k)[:-1] for k, _ in jax.tree_util.tree_leaves_with_path(tree)}


def changed_layers(before, after):
    """Returns the layers with a parameter or statistic that is not equal bit for bit."""
    return {
        freeze.leaf_path(keys)[:-1]
        for keys, old in jax.tree_util.tree_leaves_with_path(before)
        if old.tobytes() != _leaf(after, keys).tobytes()
    }


def _leaf(tree, keys):
    for key in keys:
        tree = tree[key.key]
    return tree


@pytest.mark.parametrize(
    ("name", "frozen", "backbone"),
    [
        ("resnet18", {"stem_.*|stage1_.*": None}, ("stem_conv", "stem_norm", "stage1_block1")),
        ("quat_resnet18", {"(.*/)?head": 0, ".*": None}, ("embedding", "classifier")),
    ],
)
def test_frozen_layers_and_their_statistics_stay_bit_for_bit(name, frozen, backbone, key):
    # Weight decay changes all parameters that are not frozen, whatever their gradient.
    step, state = setup(name, optax.adamw(1e-2, weight_decay=0.1), frozen, key)
    first, *_, last = states(step, state, 3)
    for before, after in ((first.params, last.params), (first.batch_stats, last.batch_stats)):
        fixed = {path for path in layers(before) if path[0] in backbone and path[-1] != "head"}
        assert fixed
        assert changed_layers(before, after) == layers(before) - fixed


def test_stages_train_from_their_steps(key):
    frozen = {"head": 0, "stage2_.*": 2, ".*": None}
    rate = 1e-3
    step, state = setup("resnet18", optax.adam(rate), frozen, key)
    copies = states(step, state, 4)
    stage = {path for path in layers(copies[0].params) if path[0] == "stage2_block1"}
    norms = {path for path in layers(copies[0].batch_stats) if path[0] == "stage2_block1"}
    trains = (False, False, True, True)
    for before, after, is_trained in zip(copies[:-1], copies[1:], trains, strict=True):
        params = changed_layers(before.params, after.params)
        assert params == {("head",)} | (stage if is_trained else set())
        stats = changed_layers(before.batch_stats, after.batch_stats)
        assert stats == (norms if is_trained else set())
    assert step._cache_size() == 1
    # After bias correction, Adam's first step is the rate (Kingma & Ba 2015, section 2.1).
    kernels = [s.params["stage2_block1"]["conv1"]["kernel"] for s in copies[2:4]]
    assert np.abs(kernels[1] - kernels[0]).max() == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("name", ["resnet18", "quat_resnet18"])
def test_a_frozen_network_trains_as_it_evaluates(name, key):
    model = models.create(name, 3, **OPTIONS)
    x = jax.random.normal(key, (4, 64, 32, 1))
    variables = random_variables(model, x.shape)

    def loss(params):
        (logits, _), updates = freeze.apply(
            model,
            {**variables, "params": params},
            x,
            frozen={".*": None},
            step=0,
            train=True,
            mutable=["batch_stats"],
        )
        return jnp.sum(jnp.square(logits)), (logits, updates["batch_stats"])

    gradient, (logits, stats) = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    np.testing.assert_allclose(logits, jax.jit(model.apply)(variables, x)[0], rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, stats, variables["batch_stats"])
    assert not any(jnp.any(leaf) for leaf in jax.tree.leaves(gradient))


def test_a_frozen_backbone_has_no_backward_pass_and_no_moments(key):
    convolutions, moments = [], []
    for frozen in ({}, {"head": 0, ".*": None}):
        step, state = setup("resnet18", optax.adam(1e-3), frozen, key)
        program = step.lower(state, examples(), jnp.arange(6, dtype=jnp.int32)).as_text()
        convolutions.append(program.count("stablehlo.convolution"))
        moments.append(sum(leaf.size for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim))
    # Six convolutions: that of the stem, two in each block and a projection. In the backward pass
    # each has a gradient of its kernel, and all but the first one of its input. On a CPU that of
    # the 3 x 3 kernel with strides of 2 is four convolutions, one for each remainder.
    remainders = 3 if jax.default_backend() == "cpu" else 0
    assert convolutions == [6 + 6 + 5 + remainders, 6]
    assert moments[1] == 2 * sum(leaf.size for leaf in jax.tree.leaves(state.params["head"]))


def test_the_state_of_a_staged_run_is_saved_and_restored(tmp_path, key):
    _, state = setup("resnet18", optax.adam(1e-3), {"head": 0, "stage2_.*": 1, ".*": None}, key)
    state = jax.tree.map(lambda leaf: leaf + jnp.ones_like(leaf), state)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(state, {})
    restored, _ = checkpoints.restore_last(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)


@pytest.mark.parametrize("counted", ["from the stage", "from the run"])
def test_a_schedule_counts_from_the_stage_or_from_the_run(counted):
    rates = (1.0, 2.0, 4.0, 8.0)
    schedule = optax.scale_by_learning_rate(lambda count: jnp.array(rates)[count])
    if counted == "from the stage":
        transformation = freeze.optimizer(schedule, {"late": 2})
    else:
        transformation = optax.chain(freeze.optimizer(optax.identity(), {"late": 2}), schedule)
    params = {name: {"kernel": jnp.ones(2)} for name in ("early", "late")}
    state = transformation.init(params)
    rates_of = {"early": [], "late": []}
    for _ in rates:
        updates, state = transformation.update(params, state, params)
        for name, values in rates_of.items():
            values.append(-float(updates[name]["kernel"][0]))
    assert rates_of["early"] == list(rates)
    assert rates_of["late"] == ([0, 0, 1, 2] if counted == "from the stage" else [0, 0, 4, 8])


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("stage1_block1", "stage1_block1/conv1", True),
        ("stage1_block1", "stage1_block10/conv1", False),
        ("conv1", "stage1_block1/conv1", False),
        (".*/conv1", "stage1_block1/conv1", True),
        ("stage[12]_.*", "stage2_block1", True),
        ("(.*/)?head", "classifier/head", True),
        ("(.*/)?head", "head", True),
        ("dense1", "dense1_norm", False),
    ],
)
def test_patterns_match_whole_modules(pattern, path, expected):
    assert freeze.matches(pattern, tuple(path.split("/"))) is expected


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (
            {"stage9_.*": None},
            r"'stage9_\.\*': expected to match a layer, found 3 .*: block, head, stem",
        ),
        ({"(": None}, r"'\(': not a regular expression: "),
        ({"head": -1}, "'head': expected to train from step 0 on or later, found -1"),
    ],
)
def test_wrong_patterns_and_steps_are_refused(frozen, message):
    params = {name: {"kernel": jnp.ones(1)} for name in ("stem", "block", "head")}
    with pytest.raises(InputError, match=message) as refused:
        freeze.optimizer(optax.adam(1e-3), frozen).init(params)
    assert "\n" not in str(refused.value)
