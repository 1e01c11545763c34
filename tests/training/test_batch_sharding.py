"""Steps over devices and micro-batches: the results of the step on one device."""

import csv
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax.errors import InputError
from serjax.training import Checkpoints, make_train_step
from serjax.training.devices.batch_sharding import BatchSharding, shard_batches
from serjax.training.state import state_of
from tests.helpers import parallel_worker as worker
from tests.helpers.processes import start


@pytest.fixture(scope="module", autouse=True)
def _standard(standard_promotion):
    """Optax promotes implicitly."""


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Folder of the results of eight devices."""
    folder = tmp_path_factory.mktemp("steps")
    start(8, "train", folder, "normed")
    return folder


def assert_equal(one, other, only=""):
    """Equal within rounding; zero gradients are rounding errors of different sums."""
    for name in one.files:
        if name.startswith(only):
            np.testing.assert_allclose(one[name], other[name], 1e-4, 2e-5, err_msg=name)


# --- Over devices --------------------------------------------------------------------------------


def assert_devices_agree(folder, name):
    one = np.load(folder / f"{name}-none.npz")
    assert [one[f"[2][{index}].weight"] for index in (0, 1)] == [16, 11]
    assert_equal(one, np.load(folder / f"{name}-shard_map.npz"))
    assert_equal(one, np.load(folder / f"{name}-pmap.npz"))


def test_several_devices_have_the_results_of_one(steps):
    """Parameters, statistics and sums, with augmentation, dropout, and a padded last batch."""
    assert_devices_agree(steps, "normed")


@pytest.mark.parametrize("kind", ["shard_map", "pmap"])
def test_several_steps_in_one_call_over_devices(steps, kind):
    """Two batches, the second padded, and a third without examples."""
    arrays = np.load(steps / f"normed-{kind}-multi-step.npz")
    one = np.load(steps / "normed-none.npz")
    assert set(arrays.files) == set(one.files) - {"probabilities"}
    for name in arrays.files:
        np.testing.assert_allclose(arrays[name], one[name], 1e-4, 2e-5, err_msg=name)


def test_the_largest_number_of_devices_that_divides_a_batch_is_used(steps):
    counts = json.loads((steps / "device_counts.json").read_text())
    assert counts == {"4": 4, "7": 7, "11": 1, "20": 5, "64": 8}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dscnn", "resnet34_stats"])
def test_networks_have_the_results_of_one_device(tmp_path, name):
    start(8, "train", tmp_path, name)
    assert_devices_agree(tmp_path, name)


def test_micro_batches_hold_the_same_examples_on_any_number_of_devices(steps):
    """Their batch norms therefore use the same statistics."""
    assert_equal(np.load(steps / "normed-none-2.npz"), np.load(steps / "normed-shard_map-2.npz"))


def test_unsynchronized_batch_norms_normalize_a_device_like_a_micro_batch(steps):
    unsynchronized, whole = (np.load(steps / f"normed-{kind}.npz") for kind in ("own", "none"))
    assert_equal(unsynchronized, np.load(steps / "normed-none-2.npz"), only="[0]")
    kernel = "[0]['Dense_0']['kernel']"
    assert np.abs(unsynchronized[kernel] - whole[kernel]).max() > 1e-3


def test_a_checkpoint_of_eight_devices_is_resumed_on_two_and_on_one(steps):
    start(2, "resume", steps)
    two, expected = (np.load(steps / name) for name in ("resumed-2.npz", "normed-none.npz"))
    assert_equal(two, expected, only=("[0]", "[1]"))
    one = BatchSharding()
    saved = Checkpoints(steps / "checkpoints").restore_last(worker.first_state("normed"))
    assert saved is not None
    step = worker.make_step("normed", one)
    state, results = worker.take_steps(saved[0], "normed", one, step, worker.BATCHES[1:])
    arrays = worker.flatten(state, results)
    for name in two.files:
        np.testing.assert_allclose(arrays[name], two[name], 1e-4, 2e-5, err_msg=name)


@pytest.mark.slow
def test_a_run_on_eight_devices_is_resumed_on_two(tmp_path):
    output = start(8, "run", tmp_path / "run", 1, "pmap")
    assert "on each of 8 devices, pmap" in output
    assert "resumed at epoch 2" in start(2, "run", tmp_path / "run", 2, "shard_map")
    start(1, "run", tmp_path / "one", 2, "none")
    rows = [
        list(csv.DictReader((tmp_path / name / "history.csv").open())) for name in ("run", "one")
    ]
    for resumed, whole in zip(*rows, strict=True):
        for name in ("train_loss", "validation_loss"):
            assert float(resumed[name]) == pytest.approx(float(whole[name]), rel=0.01)


def test_sums_over_devices_are_those_of_the_batch():
    """Against NumPy; `vmap` with a name for its axis stands in for the devices."""
    sharding = BatchSharding("shard_map", tuple(jax.devices() * 3), sync_batch_norm=False)
    indices = np.array([[4, 7], [1, -1], [-1, -1]], np.int32)

    def shard_step(stats, indices, shard):
        is_example = indices >= 0
        mean = jnp.sum(jnp.where(is_example, indices, 0)) / jnp.maximum(jnp.sum(is_example), 1)
        positions = shard.first + jnp.arange(len(indices))
        sums = {
            "sum": jnp.sum(jnp.where(is_example, indices * positions, 0)) / shard.batch_weight,
            "all": jnp.all(indices < 7),
        }
        return stats + mean, sums

    stats, sums = jax.vmap(
        lambda indices: sharding.sum_over_shards(shard_step, jnp.float32(10), indices),
        axis_name="data",
    )(indices)
    # Means 5.5 and 1 of two valid examples and of one, and a device without any.
    np.testing.assert_allclose(stats, 10 + (2 * 5.5 + 1) / 3, rtol=1e-6)
    np.testing.assert_allclose(sums["sum"], (0 * 4 + 1 * 7 + 2 * 1) / 3, rtol=1e-6)
    assert not sums["all"].any()


# --- Over micro-batches --------------------------------------------------------------------------


class Dropped(nn.Module):
    """Network without batch norm, so that its examples do not depend on each other."""

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        y = nn.relu(nn.Dense(16)(x.reshape(x.shape[0], -1)))
        y = nn.Dropout(0.5, deterministic=not train)(y)
        return nn.Dense(3)(y), {"dense": y}


def trained(sharding, remat="none"):
    """Takes two steps of `Dropped`; returns the arrays by name."""
    step = make_train_step(
        Dropped(),
        worker.SIZED,
        worker.optimizer(),
        jax.random.key(2),
        3,
        "conservative",
        sharding=sharding,
        remat=remat,
    )
    x = np.zeros((1, *worker.SIZED.input_shape), np.float32)
    state = state_of(Dropped().init(jax.random.key(1), x), worker.optimizer())
    return worker.flatten(*worker.take_steps(state, "normed", sharding, step, worker.BATCHES))


@pytest.fixture(scope="module")
def whole():
    return trained(BatchSharding())


def test_accumulation_has_the_results_of_the_whole_batch(whole):
    """The second batch has a padded micro-batch, and some without any example."""
    for name, value in trained(BatchSharding(accumulate=8)).items():
        np.testing.assert_allclose(value, whole[name], 1e-4, 1e-6, err_msg=name)


@pytest.mark.parametrize("remat", ["dots", pytest.param("everything", marks=pytest.mark.slow)])
def test_rematerialization_does_not_change_results(whole, remat):
    for name, value in trained(BatchSharding(), remat).items():
        np.testing.assert_allclose(value, whole[name], 1e-5, 1e-7, err_msg=name)


# --- Choice of the sharding ----------------------------------------------------------------------


def test_a_batch_on_one_device_is_not_sharded():
    assert shard_batches(None, 7).kind == "none"
    assert shard_batches("pmap", 7).device_count == 1


def test_uneven_shards_are_refused():
    with pytest.raises(InputError, match="a multiple of 3, for 1 devices and 3 micro-batches"):
        shard_batches(None, 20, accumulate=3)
    with pytest.raises(InputError, match=r"a multiple of 8, .* found 20"):
        BatchSharding("pmap", tuple(jax.devices() * 8)).check(20)
