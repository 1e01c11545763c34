"""Tests of auxiliary losses: registration, their values in a step, and a run with one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from serjax import models, report, training
from serjax.data import batches
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import AuxiliaryContext, AuxiliaryLoss, AuxiliaryLossConfig
from serjax.training.build import abstract_variables
from serjax.training.checks import check_config
from serjax.training.objective import auxiliary_loss
from serjax.training.state import state_of

pytestmark = pytest.mark.usefixtures("standard_promotion")

FRONT_END = dataclasses.replace(front_ends.GUIZZO_REAL, frames=32, bins=32, segment_seconds=0.25)
MODEL = models.create("dscnn", 3, hidden=8)


@training.register_auxiliary_loss("test_centre")
def centre_loss(features, batch, logits, *, layer):
    """Squared distance to the mean of the example's class in the batch (Wen et al., 2016)."""
    x = features[layer].reshape(len(logits), -1)
    same = (batch.label[:, None] == batch.label[None]) * batch.weight[None]
    centres = jax.lax.stop_gradient(same @ x / jnp.maximum(same.sum(-1, keepdims=True), 1))
    return jnp.square(x - centres).sum(-1)


class MovedPrototypes(AuxiliaryLoss):
    """A loss with arrays of its own and a feature of its own."""

    def __init__(self, context, configs):
        self.weights = [config.weight for config in configs]
        self.context = context

    def describe(self):
        return "prototypes"

    def prepare(self, variables, examples, indices, batch_size):
        assert set(variables) >= {"params"}
        return jnp.full((), len(indices), jnp.float32)

    def wrap(self, apply, arrays):
        def wrapped(variables, x, **options):
            (logits, features), updates = apply(variables, x, **options)
            return (logits, {**features, "doubled": 2 * logits}), updates

        return wrapped

    def __call__(self, arrays, batch, features, logits):
        return sum(self.weights) * arrays * jnp.abs(features["doubled"]).sum(-1)


training.register_auxiliary_loss_factory("test_prototypes")(MovedPrototypes)


def context_of(*configs):
    config = training.RunConfig.make(model="dscnn", auxiliary_losses=configs)
    abstract = abstract_variables(MODEL, FRONT_END)
    return AuxiliaryContext(MODEL, abstract, FRONT_END, config, Console(quiet=True))


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    size = FRONT_END.segment_samples
    waveforms = [0.1 * rng.normal(size=size).astype(np.float32) for _ in range(6)]
    labels = [0, 1, 0, 2, 1, 0]
    return jax.device_put(batches.pack(waveforms, labels, size, room=size))


def take_step(examples, indices, *configs):
    """Takes a step of gradient descent; returns the parameters before and after, and the result."""
    losses = auxiliary_loss.make_auxiliary_losses(context_of(*configs))
    optimizer = optax.sgd(1.0)
    x = jnp.zeros((1, *FRONT_END.input_shape))
    state = state_of(jax.jit(MODEL.init)(jax.random.key(0), x), optimizer)
    before = jax.device_get(state.params)
    arrays = {
        name: loss.prepare(state.variables, examples, np.arange(6), 4)
        for name, loss in losses.items()
    }
    step = training.make_train_step(
        MODEL, FRONT_END, optimizer, jax.random.key(1), 3, auxiliary_losses=losses
    )
    state, result = step(state, examples, jnp.asarray(indices, jnp.int32), arrays)
    return before, jax.device_get(state.params), jax.device_get(result)


CENTRE = AuxiliaryLossConfig("test_centre", 0.5, {"layer": "conv7"})


def gradient(examples, indices, *configs):
    before, after, result = take_step(examples, indices, *configs)
    return jax.tree.map(np.subtract, before, after), result


def test_a_function_adds_its_weighted_values_and_gradients(examples):
    indices = [0, 1, 2, -1]
    plain, without = gradient(examples, indices)
    one, result = gradient(examples, indices, CENTRE)
    two, twice = gradient(examples, indices, dataclasses.replace(CENTRE, weight=1.0))
    assert without.auxiliary == {}
    assert result.auxiliary["test_centre"] > 0
    np.testing.assert_allclose(result.loss, without.loss, rtol=1e-6)
    np.testing.assert_allclose(
        twice.auxiliary["test_centre"], 2 * result.auxiliary["test_centre"], rtol=1e-5
    )
    # The gradient is linear in the weight of the loss.
    jax.tree.map(
        lambda p, a, b: np.testing.assert_allclose(b - p, 2 * (a - p), rtol=1e-3, atol=1e-5),
        plain,
        one,
        two,
    )


def test_configurations_of_a_name_share_a_loss_with_arrays(examples):
    pair = [AuxiliaryLossConfig("test_prototypes", weight) for weight in (0.25, 0.75)]
    _, result = gradient(examples, [0, 1, 2, 3], *pair)
    _, single = gradient(examples, [0, 1, 2, 3], AuxiliaryLossConfig("test_prototypes"))
    assert list(result.auxiliary) == ["test_prototypes"]
    np.testing.assert_allclose(
        result.auxiliary["test_prototypes"], single.auxiliary["test_prototypes"], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (AuxiliaryLossConfig("test_center"), "unknown auxiliary loss 'test_center': did you mean"),
        (AuxiliaryLossConfig("test_centre"), "auxiliary loss 'test_centre': missing .*'layer'"),
        (
            AuxiliaryLossConfig("test_centre", 1.0, {"layer": "x", "power": 2}),
            "auxiliary loss 'test_centre': got an unexpected keyword argument 'power'",
        ),
        (
            AuxiliaryLossConfig("anti_transfer", 1.0, {"source": "untrained", "layer": ["2"]}),
            "unknown option of anti-transfer 'layer': did you mean 'layers'",
        ),
        (AuxiliaryLossConfig("anti_transfer", 0.0, {"source": "untrained"}), "more than 0"),
        (AuxiliaryLossConfig("anti_transfer"), "anti-transfer: expected a source, found none"),
    ],
)
def test_bad_configurations_are_refused(config, message):
    with pytest.raises(InputError, match=message):
        check_config(training.RunConfig.make(model="dscnn", auxiliary_losses=(config,)))


def test_a_name_is_registered_once():
    with pytest.raises(InputError, match="'test_centre': expected a new name"):
        training.register_auxiliary_loss("test_centre")(centre_loss)
    with pytest.raises(InputError, match="'ua': expected no name of a metric"):
        training.register_auxiliary_loss("ua")(centre_loss)


def test_a_run_reports_its_auxiliary_losses_by_name(tmp_path):
    config = training.RunConfig.make(
        model="dscnn",
        model_options={"hidden": 8},
        dataset_options={"speakers": 5, "words": 1},
        image_size=(16, 16),
        epochs=1,
        auxiliary_losses=(
            AuxiliaryLossConfig("test_centre", 0.1, {"layer": "conv7"}),
            AuxiliaryLossConfig("test_prototypes", 0.1),
        ),
    )
    console = Console(record=True, width=200)
    folder = training.run(config, out=tmp_path / "run", console=console)
    (row,) = report.read_history(folder / "history.csv")
    assert row["train_test_centre"] > 0
    assert row["train_test_prototypes"] > 0
    assert "train_anti_transfer" not in row
    output = console.export_text()
    assert "test-prototypes: prototypes" in output
    assert "test-centre" in output
    config = report.read_config(folder / "config.json")
    assert [each["name"] for each in config["auxiliary_losses"]] == [
        "test_centre",
        "test_prototypes",
    ]
