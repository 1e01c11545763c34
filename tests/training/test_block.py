"""Several steps in one call: the numbers of as many calls, and runs that end the same."""

import dataclasses
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

DIVISION = BatchSharding()
CONFIG = training.RunConfig.make(
    model="dscnn",
    model_options={"hidden": 16},
    dataset_options={"speakers": 5, "words": 3},
    augmentation="conservative",
    image_size=(32, 32),  # on a CPU, convolutions in a loop are slow
    batch_size=5,
    epochs=2,
)


def rows(count):
    """Batches of 16 of the worker's examples, the last one with gaps."""
    rng = np.random.default_rng(0)
    found = rng.integers(0, worker.EXAMPLES, (count, 16)).astype(np.int32)
    found[-1, 11:] = -1
    return found


def test_a_call_of_several_steps_has_their_numbers():
    """A block of five batches, of which the last two have no example."""
    front_end = worker.MODELS["normed"][1]
    examples = jax.device_put(worker.pack(front_end))
    indices = rows(3)

    state, expected = worker.first_state("normed"), []
    step = worker.make_step("normed", DIVISION)
    for row in indices:
        state, result = step(state, examples, DIVISION.split(row), None)
        expected.append(result)

    whole = np.pad(indices, ((0, 2), (0, 0)), constant_values=-1)
    steps = worker.make_step("normed", DIVISION, scan_steps=5)
    placed = DIVISION.split(whole)
    assert placed.shape == DIVISION.abstract_batch(16, 5).shape == (1, 5, 16)
    found_state, found = steps(worker.first_state("normed"), examples, placed, None)

    assert int(found_state.step) == 3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), found_state, state)
    for number, one in enumerate(expected):
        each = jax.tree.map(lambda x, n=number: x[n], found)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), each, one)
    assert not np.any(found.weight[3:])


def summary(folder):
    """What equal runs have in common, and how the training went."""
    history = (folder / "history.csv").read_text().splitlines()
    columns = [c for c in history[0].split(",") if "seconds" not in c and "second" not in c]
    at = [history[0].split(",").index(c) for c in columns]
    numbers = [[float(row.split(",")[i]) for i in at] for row in history[1:]]
    return numbers, json.loads((folder / "metrics.json").read_text())["best_step"]


@pytest.mark.slow
def test_a_run_in_blocks_is_the_run_in_steps(tmp_path):
    """Blocks of four steps do not divide its epochs of 36 examples in batches of five."""
    out = Console(file=io.StringIO(), width=200)
    one = training.run(CONFIG, out=tmp_path / "one", console=out)
    several = training.run(
        dataclasses.replace(CONFIG, scan_steps=4), out=tmp_path / "four", console=out
    )
    assert "4 steps a call" in out.file.getvalue()
    expected, best = summary(one)
    found, best_in_blocks = summary(several)
    np.testing.assert_allclose(found, expected, 1e-3, 1e-4)
    assert best_in_blocks == best


def test_what_suits_the_device():
    assert multi_step.scan_steps(7) == 7
    assert multi_step.scan_steps(None) == (1 if jax.default_backend() == "cpu" else 16)
