"""Runs in one program: the numbers, and the folders, of as many runs one after the other."""

import jax
import numpy as np
import optax
import parallel_worker as worker
import pytest

from serjax.errors import InputError
from serjax.training import training_step
from serjax.training.evaluate import Evaluator
from serjax.training.evaluate_together import EvaluatorTogether
from serjax.training.state import state_of
from serjax.training.together import Together

pytestmark = pytest.mark.usefixtures("standard_promotion")

RUNS = 3
RATES = np.float32([0.05, 0.1, 0.02])


def first_states(model, front_end, optimizer):
    x = np.zeros((1, *front_end.input_shape), np.float32)
    init = jax.jit(model.init)
    return [state_of(init(jax.random.key(number), x), optimizer) for number in range(RUNS)]


def batches_of_runs():
    """Batches `[runs, steps, batch]`; the second run's second has gaps, its third is empty."""
    rng = np.random.default_rng(0)
    found = rng.integers(0, worker.EXAMPLES, (RUNS, 3, 16)).astype(np.int32)
    found[1, 1, 11:] = -1
    found[1, 2] = -1
    return found


def make_step_of(name):
    model, front_end, augmentation = worker.MODELS[name]

    def make_step(number, key):
        optimizer = optax.sgd(jax.numpy.asarray(RATES)[number], momentum=0.9)
        return training_step(model, front_end, optimizer, key, 3, augmentation)

    return make_step


@pytest.fixture(scope="module")
def alone():
    """Three steps of each run by itself: its last state, and what its steps told."""
    model, front_end, _ = worker.MODELS["normed"]
    examples = jax.device_put(worker.pack(front_end))
    states = first_states(model, front_end, optax.sgd(0.1, momentum=0.9))
    found = []
    step = jax.jit(lambda n, key, *given: make_step_of("normed")(n, key)(*given))
    for number, state in enumerate(states):
        key, told = jax.random.key(10 + number), []
        for row in batches_of_runs()[number]:
            if (row >= 0).any():
                state, result = step(number, key, state, examples, row)
                told.append(jax.device_get(result))
        found.append((jax.device_get(state), told))
    return found


def assert_same(one, other):
    """Within rounding; see `test_parallel`."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 2e-5), one, other)


@pytest.mark.parametrize(("engine", "steps"), [("scan", 1), ("vmap", 3)])
def test_runs_together_are_the_runs(alone, engine, steps):
    """Each with weights, batches, random numbers and learning rate of its own.

    With augmentation, dropout, batch norms, gaps, and a run that has a batch less.
    """
    model, front_end, _ = worker.MODELS["normed"]
    together = Together(engine, RUNS)
    states = together.stack(first_states(model, front_end, optax.sgd(0.1, momentum=0.9)))
    examples = together.replicate(worker.pack(front_end))
    keys = together.stack([jax.random.key(10 + number) for number in range(RUNS)])
    step = together.compile_step(make_step_of("normed"), steps)
    indices, told = batches_of_runs(), []
    for first in range(0, 3, steps):
        block = together.place(indices[:, first : first + steps])
        states, results = step(states, examples, block, keys)
        told.append(jax.device_get(results))
    assert step._cache_size() == 1
    told = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *told)
    found = together.gather(states)
    for number, (state, results) in enumerate(alone):
        assert_same(jax.tree.map(lambda x, n=number: x[n], found), state)
        for at, result in enumerate(results):
            assert_same(jax.tree.map(lambda x, n=number, at=at: x[n, at], told), result)
    assert found.step.tolist() == [3, 2, 3]
    assert told.weight.tolist() == [[16, 16, 16], [16, 11, 0], [16, 16, 16]]


def test_predictions_together_are_the_runs():
    """Parts of different sizes, one of them empty."""
    model, front_end, _ = worker.MODELS["normed"]
    states = first_states(model, front_end, optax.identity())
    examples = jax.device_put(worker.pack(front_end))
    parts = [np.array([0, 3, 4, 20, 27]), np.zeros(0, int), np.array([1, 5])]
    one = Evaluator(model, front_end, 4)
    together = Together("vmap", RUNS)
    several = EvaluatorTogether(model, front_end, 4, together)
    found = several(together.stack([state.variables for state in states]), examples, parts)
    assert [part.shape for part in found] == [(5, 3), (0, 3), (2, 3)]
    for number in (0, 2):
        expected = one(states[number].variables, examples, parts[number])
        np.testing.assert_allclose(found[number], expected, 1e-5, 1e-6)


def test_another_engine():
    with pytest.raises(InputError, match=r"unknown engine 'pmap': .* known are vmap, scan"):
        Together("pmap", 2)
