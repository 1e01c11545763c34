"""Steps divided over devices and micro-batches: the numbers of the undivided step."""

import csv
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import training
from serjax.errors import InputError
from serjax.training import Checkpoints, make_train_step
from serjax.training.checks import check_config
from serjax.training.devices import memory
from serjax.training.devices.batch_sharding import BatchSharding, divide
from serjax.training.state import state_of
from tests.helpers import parallel_worker as worker
from tests.helpers.processes import start


@pytest.fixture(scope="module", autouse=True)
def _standard(standard_promotion):
    """Optax promotes implicitly."""


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Folder of what eight devices computed."""
    folder = tmp_path_factory.mktemp("steps")
    start(8, "train", folder, "normed")
    return folder


def assert_equal(one, other, only=""):
    """Within rounding; gradients that are zero are rounding errors of different sums."""
    for name in one.files:
        if name.startswith(only):
            np.testing.assert_allclose(one[name], other[name], 1e-4, 2e-5, err_msg=name)


# --- Over devices --------------------------------------------------------------------------------


def assert_devices_compute_what_one_computes(folder, name):
    one = np.load(folder / f"{name}-none.npz")
    assert [one[f"[2][{index}].weight"] for index in (0, 1)] == [16, 11]
    assert_equal(one, np.load(folder / f"{name}-shard_map.npz"))
    assert_equal(one, np.load(folder / f"{name}-pmap.npz"))


def test_devices_compute_what_one_computes(steps):
    """Parameters, statistics and sums, with augmentation, dropout, and a last batch with gaps."""
    assert_devices_compute_what_one_computes(steps, "normed")


@pytest.mark.parametrize("kind", ["shard_map", "pmap"])
def test_several_steps_in_one_call_over_devices(steps, kind):
    """Two batches, the second with gaps, and a third without examples."""
    arrays = np.load(steps / f"normed-{kind}-block.npz")
    one = np.load(steps / "normed-none.npz")
    assert set(arrays.files) == set(one.files) - {"probabilities"}
    for name in arrays.files:
        np.testing.assert_allclose(arrays[name], one[name], 1e-4, 2e-5, err_msg=name)


def test_as_many_devices_as_divide_a_batch_share_it(steps):
    shares = json.loads((steps / "shares.json").read_text())
    assert shares == {"4": 4, "7": 7, "11": 1, "20": 5, "64": 8}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dscnn", "resnet34_stats"])
def test_devices_compute_what_one_computes_of_networks(tmp_path, name):
    start(8, "train", tmp_path, name)
    assert_devices_compute_what_one_computes(tmp_path, name)


def test_micro_batches_hold_the_same_examples_on_any_number_of_devices(steps):
    """So their batch norms see the same."""
    assert_equal(np.load(steps / "normed-none-2.npz"), np.load(steps / "normed-shard_map-2.npz"))


def test_batch_norms_of_their_own_normalize_a_device_as_a_micro_batch(steps):
    own, whole = (np.load(steps / f"normed-{kind}.npz") for kind in ("own", "none"))
    assert_equal(own, np.load(steps / "normed-none-2.npz"), only="[0]")
    kernel = "[0]['Dense_0']['kernel']"
    assert np.abs(own[kernel] - whole[kernel]).max() > 1e-3


def test_a_checkpoint_of_eight_devices_goes_on_with_two_and_with_one(steps):
    start(2, "resume", steps)
    two, expected = (np.load(steps / name) for name in ("resumed-2.npz", "normed-none.npz"))
    assert_equal(two, expected, only=("[0]", "[1]"))
    one = BatchSharding()
    saved = Checkpoints(steps / "checkpoints").restore_last(worker.first_state("normed"))
    assert saved is not None
    step = worker.make_step("normed", one)
    state, told = worker.take(saved[0], "normed", one, step, worker.BATCHES[1:])
    found = worker.flat(state, told)
    for name in two.files:
        np.testing.assert_allclose(found[name], two[name], 1e-4, 2e-5, err_msg=name)


@pytest.mark.slow
def test_a_run_on_eight_devices_goes_on_with_two(tmp_path):
    output = start(8, "run", tmp_path / "run", 1, "pmap")
    assert "on each of 8 devices, pmap" in output
    assert "resumed at epoch 2" in start(2, "run", tmp_path / "run", 2, "shard_map")
    start(1, "run", tmp_path / "one", 2, "none")
    rows = [
        list(csv.DictReader((tmp_path / name / "history.csv").open())) for name in ("run", "one")
    ]
    for divided, whole in zip(*rows, strict=True):
        for name in ("train_loss", "validation_loss"):
            assert float(divided[name]) == pytest.approx(float(whole[name]), rel=0.01)


def test_sums_over_devices_are_those_of_the_batch():
    """Against NumPy; `vmap` with a name for its axis stands in for the devices."""
    division = BatchSharding("shard_map", tuple(jax.devices() * 3), sync_batch_norm=False)
    indices = np.array([[4, 7], [1, -1], [-1, -1]], np.int32)

    def of_part(stats, mine, part):
        real = mine >= 0
        mean = jnp.sum(jnp.where(real, mine, 0)) / jnp.maximum(jnp.sum(real), 1)
        places = part.first + jnp.arange(len(mine))
        sums = {
            "sum": jnp.sum(jnp.where(real, mine * places, 0)) / part.batch_weight,
            "all": jnp.all(mine < 7),
        }
        return stats + mean, sums

    stats, sums = jax.vmap(
        lambda mine: division.sum_over_shards(of_part, jnp.float32(10), mine), axis_name="data"
    )(indices)
    # Means 5.5 and 1 of two real examples and one, and a device without any.
    np.testing.assert_allclose(stats, 10 + (2 * 5.5 + 1) / 3, rtol=1e-6)
    np.testing.assert_allclose(sums["sum"], (0 * 4 + 1 * 7 + 2 * 1) / 3, rtol=1e-6)
    assert not sums["all"].any()


# --- Over micro-batches --------------------------------------------------------------------------


class Dropped(nn.Module):
    """A network that couples no examples."""

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        y = nn.relu(nn.Dense(16)(x.reshape(x.shape[0], -1)))
        y = nn.Dropout(0.5, deterministic=not train)(y)
        return nn.Dense(3)(y), {"dense": y}


def trained(division, remat="none"):
    """What two steps make of `Dropped`."""
    step = make_train_step(
        Dropped(),
        worker.SIZED,
        worker.optimizer(),
        jax.random.key(2),
        3,
        "conservative",
        division=division,
        remat=remat,
    )
    x = np.zeros((1, *worker.SIZED.input_shape), np.float32)
    state = state_of(Dropped().init(jax.random.key(1), x), worker.optimizer())
    return worker.flat(*worker.take(state, "normed", division, step, worker.BATCHES))


@pytest.fixture(scope="module")
def whole():
    return trained(BatchSharding())


def test_accumulation_is_the_whole_batch(whole):
    """The second batch has micro-batches with a gap, and some without any example."""
    for name, value in trained(BatchSharding(accumulate=8)).items():
        np.testing.assert_allclose(value, whole[name], 1e-4, 1e-6, err_msg=name)


@pytest.mark.parametrize("remat", ["dots", pytest.param("everything", marks=pytest.mark.slow)])
def test_computing_again_changes_nothing(whole, remat):
    for name, value in trained(BatchSharding(), remat).items():
        np.testing.assert_allclose(value, whole[name], 1e-5, 1e-7, err_msg=name)


# --- Memory --------------------------------------------------------------------------------------


def test_peak_is_arguments_results_and_between():
    x = jax.ShapeDtypeStruct((1000,), jnp.float32)
    add = jax.jit(lambda x: x + 1).lower(x).compile()
    assert memory.peak_bytes(add) == 2 * 4000
    assert memory.peak_bytes(jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile()) == 4000


@pytest.mark.parametrize(("remat", "kept"), [("dots", True), ("everything", False)])
def test_what_is_kept_of_a_forward_pass(remat, kept):
    """The gradient of two products reads the first one's result: kept, or multiplied again."""

    def loss(weight):
        return jnp.sum(jnp.tanh(jnp.tanh(jnp.ones((4, 4)) @ weight) @ weight))

    def products(function):
        return str(jax.make_jaxpr(jax.grad(function))(jnp.ones((4, 4)))).count("dot_general")

    again = products(memory.rematerialized(loss, remat)) - products(loss)
    assert (again == 0) == kept


def test_out_of_memory_says_what_helps():
    message = r"with 8 examples at once; .*: --accumulate 2, --remat dots, --batch-size 8, "
    with pytest.raises(InputError, match=message), memory.explained(16, 2, 1, "none"):
        jnp.zeros(2**50, jnp.uint8)


def test_other_errors_stay_themselves():
    with pytest.raises(jax.errors.JaxRuntimeError), memory.explained(16, 1, 1, "none"):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


# --- Configuration -------------------------------------------------------------------------------


def test_one_device_is_not_divided():
    assert divide(None, 7).kind == "none"
    assert divide("pmap", 7).device_count == 1


def test_batches_are_divided_evenly():
    with pytest.raises(InputError, match="a multiple of 3, for 1 devices and 3 micro-batches"):
        divide(None, 20, accumulate=3)
    with pytest.raises(InputError, match=r"a multiple of 8, .* found 20"):
        BatchSharding("pmap", tuple(jax.devices() * 8)).check(20)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parallel": "pmpa"}, "unknown parallel 'pmpa': did you mean 'pmap'"),
        ({"remat": "dot"}, "unknown remat 'dot': did you mean 'dots'"),
        ({"accumulate": 0}, "accumulate: expected at least 1, found 0"),
        ({"model": "svm", "accumulate": 2}, "accumulate: expected none with svm, found 2"),
    ],
)
def test_bad_configuration(fields, message):
    with pytest.raises(InputError, match=message):
        check_config(training.RunConfig.make(**fields))
