"""Several steps in one call: the results of single calls, and runs that end the same."""

import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console

from serjax import training
from serjax.training.devices import multi_step
from serjax.training.devices.batch_sharding import BatchSharding
from tests.helpers import parallel_worker as worker

pytestmark = pytest.mark.usefixtures("standard_promotion")

SHARDING = BatchSharding()
CONFIG = training.RunConfig.make(
    model="dscnn",
    model_options={"hidden": 16},
    dataset_options={"speakers": 5, "words": 3},
    augment="conservative",
    image_size=(32, 32),  # on a CPU, convolutions in a loop are slow
    batch_size=5,
    epochs=2,
)


def batches(count):
    """Batches of 16 of the worker's examples, the last one with padding."""
    rng = np.random.default_rng(0)
    indices = rng.integers(0, worker.EXAMPLES, (count, 16)).astype(np.int32)
    indices[-1, 11:] = -1
    return indices


def test_a_call_of_several_steps_has_the_results_of_single_calls():
    """A call of five batches, the last two of which have no example."""
    front_end = worker.MODELS["normed"][1]
    examples = jax.device_put(worker.pack(front_end))
    indices = batches(3)

    state, expected = worker.first_state("normed"), []
    step = worker.make_step("normed", SHARDING)
    for batch in indices:
        state, result = step(state, examples, SHARDING.put_indices(batch), None)
        expected.append(result)

    padded = np.pad(indices, ((0, 2), (0, 0)), constant_values=-1)
    steps = worker.make_step("normed", SHARDING, scan_steps=5)
    placed = SHARDING.put_indices(padded)
    assert placed.shape == SHARDING.abstract_batch(16, 5).shape == (1, 5, 16)
    last_state, results = steps(worker.first_state("normed"), examples, placed, None)

    assert int(last_state.step) == 3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), last_state, state)
    for number, one in enumerate(expected):
        result = jax.tree.map(lambda x, n=number: x[n], results)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), result, one)
    assert not np.any(results.weight[3:])


def summary(folder):
    """Returns the history without columns of time, and the best step."""
    history = (folder / "history.csv").read_text().splitlines()
    header = history[0].split(",")
    columns = [i for i, name in enumerate(header) if "second" not in name]
    values = [[float(row.split(",")[i]) for i in columns] for row in history[1:]]
    return values, json.loads((folder / "metrics.json").read_text())["best_step"]


@pytest.mark.slow
def test_a_run_with_several_steps_per_call_is_the_run_with_single_steps(tmp_path):
    """Calls of four steps do not divide its epochs of 36 examples in batches of five."""
    console = Console(file=io.StringIO(), width=200)
    one = training.run(CONFIG, out=tmp_path / "one", console=console)
    four = training.run(CONFIG.replace(scan_steps=4), out=tmp_path / "four", console=console)
    assert "4 steps per call" in console.file.getvalue()
    expected, best = summary(one)
    values, best_of_four = summary(four)
    np.testing.assert_allclose(values, expected, 1e-3, 1e-4)
    assert best_of_four == best


def test_the_default_depends_on_the_device():
    assert multi_step.scan_steps(7) == 7
    assert multi_step.scan_steps(None) == (1 if jax.default_backend() == "cpu" else 16)
