"""Runs in one program: the numbers, and the folders, of as many runs one after the other."""

import csv
import dataclasses
import io
import json

import jax
import numpy as np
import optax
import pytest
from rich.console import Console
from serjax.protocols.batched_evaluation import EvaluatorTogether

from serjax import protocols, training
from serjax.errors import InputError
from serjax.protocols import batched_driver
from serjax.protocols.batched_runs import Together
from serjax.protocols.batching import choose
from serjax.training import training_step
from serjax.training.evaluate import Evaluator
from serjax.training.run_folder.trained_run import load_run
from serjax.training.state import state_of
from tests.helpers import parallel_worker as worker

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


# --- Cross-validation ----------------------------------------------------------------------------

CONFIG = training.RunConfig.make(
    model="dscnn",
    model_options={"hidden": 8},
    dataset_options={"speakers": 5, "words": 2},
    split="speaker",
    augmentation="conservative",
    image_size=(16, 16),
    batch_size=5,
    epochs=2,
)
FOLDS = {f"fold-{n}": dataclasses.replace(CONFIG, fold=f"{n}/3") for n in (1, 2, 3)}


def validate(out, together, resume=False, **options):
    """Three folds of speakers, whose training parts have 16, 16 and 8 utterances."""
    console = Console(file=io.StringIO(), width=200)
    config = dataclasses.replace(CONFIG, **options)
    protocols.cross_validate(
        config, folds=3, out=out, resume=resume, console=console, together=together
    )
    return console.file.getvalue()


def numbers_of(folder):
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    history = [[float(v) for k, v in row.items() if "second" not in k] for row in rows]
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [(row["path"], row["split"], row["true"]) for row in rows]
    probabilities = [[float(v) for k, v in row.items() if k.startswith("p_")] for row in rows]
    return names, np.array(history), np.array(probabilities)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["vmap", "scan"])
def test_folds_together_leave_what_separate_folds_leave(tmp_path, monkeypatch, engine):
    """With epochs of four and of two batches; and again after a kill while they were written."""
    validate(tmp_path / "off", "off")
    out = tmp_path / engine
    finish = batched_driver.finish_network_run

    def killed(job, *given):
        if job.out.name == "fold-2":
            raise KeyboardInterrupt
        finish(job, *given)

    monkeypatch.setattr(batched_driver, "finish_network_run", killed)
    with pytest.raises(KeyboardInterrupt):
        validate(out, engine)
    monkeypatch.undo()
    with pytest.raises(InputError, match="begun together"):
        validate(out, "off", resume=True)
    told = validate(out, "auto", resume=True)
    assert "they were begun together" in told
    assert "fold-1 finished before" in told
    assert not (out / "together").exists()

    for fold in FOLDS:
        one, other = tmp_path / "off" / fold, out / fold
        assert {f.name for f in one.iterdir()} == {f.name for f in other.iterdir()}
        names, history, probabilities = numbers_of(one)
        assert numbers_of(other)[0] == names
        np.testing.assert_allclose(numbers_of(other)[1], history, 1e-3, 1e-4)
        np.testing.assert_allclose(numbers_of(other)[2], probabilities, 1e-3, 1e-4)
        expected, found = load_run(one), load_run(other)
        assert found.config == expected.config
        assert_same(found.variables["batch_stats"], expected.variables["batch_stats"])
        config = json.loads((one / "config.json").read_text())
        assert json.loads((other / "config.json").read_text()) == config
    assert validate(out, "off", resume=True).count("finished before") == 3


@pytest.mark.parametrize(
    ("asked", "changed", "expected"),
    [
        ("off", {}, (None, None)),
        ("scan", {}, ("scan", "as asked")),
        ("vmap", {"model": "lda"}, (None, "lda is not trained in steps")),
        ("vmap", {"anti_transfer": (training.AntiTransfer("untrained"),)}, (None, "teachers")),
        ("vmap", {"parallel": "pmap"}, (None, "pmap divides the batches of a run")),
    ],
)
def test_what_is_chosen_and_why(tmp_path, asked, changed, expected):
    runs = {name: config.replace(**changed) for name, config in FOLDS.items()}
    engine, why = choose(asked, runs, tmp_path)
    assert engine == expected[0]
    assert why == expected[1] or expected[1] in why


def test_folders_of_before_decide(tmp_path):
    assert choose("scan", {"fold-1": CONFIG}, tmp_path) == (None, "there is one run only")
    (tmp_path / "fold-2" / "checkpoints" / "last" / "4").mkdir(parents=True)
    assert choose("scan", FOLDS, tmp_path) == (None, "fold-2 was begun by itself")
    (tmp_path / "together").mkdir()
    assert choose("vmap", FOLDS, tmp_path) == ("vmap", "they were begun together")
    with pytest.raises(InputError, match=r"found off; without .*together they start anew"):
        choose("off", FOLDS, tmp_path)


def test_no_such_way(tmp_path):
    with pytest.raises(InputError, match=r"unknown together 'vamp': did you mean 'vmap'"):
        validate(tmp_path, "vamp")
