"""Tests of batched runs: the results and folders of the same runs one after the other."""

import csv
import io
import json

import jax
import numpy as np
import optax
import pytest
from rich.console import Console

from serjax import protocols, training
from serjax.anti_transfer import AntiTransfer
from serjax.errors import InputError
from serjax.protocols import batched_runs
from serjax.protocols.batching import choose
from serjax.protocols.run_batch import BatchedEvaluator, RunBatch
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
    indices = rng.integers(0, worker.EXAMPLES, (RUNS, 3, 16)).astype(np.int32)
    indices[1, 1, 11:] = -1
    indices[1, 2] = -1
    return indices


def make_step_of(name):
    model, front_end, augmentation = worker.MODELS[name]

    def make_step(number, key):
        optimizer = optax.sgd(jax.numpy.asarray(RATES)[number], momentum=0.9)
        return training_step(model, front_end, optimizer, key, 3, augmentation)

    return make_step


@pytest.fixture(scope="module")
def separate():
    """Last state and results of three steps of each run on its own."""
    model, front_end, _ = worker.MODELS["normed"]
    examples = jax.device_put(worker.pack(front_end))
    states = first_states(model, front_end, optax.sgd(0.1, momentum=0.9))
    runs = []
    step = jax.jit(lambda n, key, *arguments: make_step_of("normed")(n, key)(*arguments))
    for number, state in enumerate(states):
        key, results = jax.random.key(10 + number), []
        for row in batches_of_runs()[number]:
            if (row >= 0).any():
                state, result = step(number, key, state, examples, row)
                results.append(jax.device_get(result))
        runs.append((jax.device_get(state), results))
    return runs


def assert_close(one, other):
    """Within rounding; see `test_parallel`."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 2e-5), one, other)


@pytest.mark.parametrize(("method", "steps"), [("scan", 1), ("vmap", 3)])
def test_batched_runs_equal_separate_runs(separate, method, steps):
    """Each has weights, batches, random numbers and learning rate of its own.

    With augmentation, dropout, batch norms, gaps, and a run that has a batch less.
    """
    model, front_end, _ = worker.MODELS["normed"]
    run_batch = RunBatch(method, RUNS)
    states = run_batch.stack(first_states(model, front_end, optax.sgd(0.1, momentum=0.9)))
    examples = run_batch.replicate(worker.pack(front_end))
    keys = run_batch.stack([jax.random.key(10 + number) for number in range(RUNS)])
    step = run_batch.compile_step(make_step_of("normed"), steps)
    indices, calls = batches_of_runs(), []
    for first in range(0, 3, steps):
        batch = run_batch.place(indices[:, first : first + steps])
        states, results = step(states, examples, batch, keys)
        calls.append(jax.device_get(results))
    assert step._cache_size() == 1
    batched = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *calls)
    last = run_batch.gather(states)
    for number, (state, results) in enumerate(separate):
        assert_close(jax.tree.map(lambda x, n=number: x[n], last), state)
        for at, result in enumerate(results):
            assert_close(jax.tree.map(lambda x, n=number, at=at: x[n, at], batched), result)
    assert last.step.tolist() == [3, 2, 3]
    assert batched.weight.tolist() == [[16, 16, 16], [16, 11, 0], [16, 16, 16]]


def test_batched_predictions_equal_separate_predictions():
    """Sets of different sizes, one of them empty."""
    model, front_end, _ = worker.MODELS["normed"]
    states = first_states(model, front_end, optax.identity())
    examples = jax.device_put(worker.pack(front_end))
    utterances = [np.array([0, 3, 4, 20, 27]), np.zeros(0, int), np.array([1, 5])]
    one = Evaluator(model, front_end, 4)
    run_batch = RunBatch("vmap", RUNS)
    several = BatchedEvaluator(model, front_end, 4, run_batch)
    variables = run_batch.stack([state.variables for state in states])
    predictions = several(variables, examples, utterances)
    assert [each.shape for each in predictions] == [(5, 3), (0, 3), (2, 3)]
    for number in (0, 2):
        expected = one(states[number].variables, examples, utterances[number])
        np.testing.assert_allclose(predictions[number], expected, 1e-5, 1e-6)


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match=r"unknown batching 'pmap': .* known are vmap, scan"):
        RunBatch("pmap", 2)


# --- Cross-validation ----------------------------------------------------------------------------

CONFIG = training.RunConfig.make(
    model="dscnn",
    model_options={"hidden": 8},
    dataset_options={"speakers": 5, "words": 2},
    split="speaker",
    augment="conservative",
    image_size=(16, 16),
    batch_size=5,
    epochs=2,
)
FOLDS = {f"fold-{n}": CONFIG.replace(fold=f"{n}/3") for n in (1, 2, 3)}


ANTI_TRANSFER = (AntiTransfer("untrained").to_config(),)


def validate(out, batching, resume=False, **options):
    """Three folds of speakers, whose training sets have 16, 16 and 8 utterances."""
    console = Console(file=io.StringIO(), width=200)
    config = CONFIG.replace(**options)
    protocols.cross_validate(
        config, folds=3, out=out, resume=resume, console=console, batching=batching
    )
    return console.file.getvalue()


def results_of(folder):
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    history = [[float(v) for k, v in row.items() if "second" not in k] for row in rows]
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [(row["path"], row["split"], row["true"]) for row in rows]
    probabilities = [[float(v) for k, v in row.items() if k.startswith("p_")] for row in rows]
    return names, np.array(history), np.array(probabilities)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["vmap", "scan"])
def test_batched_folds_write_the_folders_of_separate_folds(tmp_path, monkeypatch, method):
    """With epochs of four and of two batches, and again after a kill while they were written."""
    validate(tmp_path / "off", "off")
    out = tmp_path / method
    write = batched_runs.write_network_run

    def killed(folder, *arguments):
        if folder.name == "fold-2":
            raise KeyboardInterrupt
        write(folder, *arguments)

    monkeypatch.setattr(batched_runs, "write_network_run", killed)
    with pytest.raises(KeyboardInterrupt):
        validate(out, method)
    monkeypatch.undo()
    with pytest.raises(InputError, match="started as batched runs"):
        validate(out, "off", resume=True)
    output = validate(out, "auto", resume=True)
    assert "they were started as batched runs" in output
    assert "fold-1 finished before" in output
    assert not (out / "batched").exists()

    for fold in FOLDS:
        one, other = tmp_path / "off" / fold, out / fold
        assert {f.name for f in one.iterdir()} == {f.name for f in other.iterdir()}
        names, history, probabilities = results_of(one)
        assert results_of(other)[0] == names
        np.testing.assert_allclose(results_of(other)[1], history, 1e-3, 1e-4)
        np.testing.assert_allclose(results_of(other)[2], probabilities, 1e-3, 1e-4)
        expected, batched = load_run(one), load_run(other)
        assert batched.config == expected.config
        assert_close(batched.variables["batch_stats"], expected.variables["batch_stats"])
        config = json.loads((one / "config.json").read_text())
        assert json.loads((other / "config.json").read_text()) == config
    assert validate(out, "off", resume=True).count("finished before") == 3


@pytest.mark.parametrize(
    ("batching", "changed", "expected"),
    [
        ("off", {}, (None, None)),
        ("scan", {}, ("scan", "as requested")),
        ("vmap", {"model": "lda"}, (None, "lda is not trained in steps")),
        ("vmap", {"auxiliary_losses": ANTI_TRANSFER}, (None, "arrays of its own")),
        ("vmap", {"parallel": "pmap"}, (None, "pmap shards the batches of a run")),
    ],
)
def test_the_choice_has_a_reason(tmp_path, batching, changed, expected):
    runs = {name: config.replace(**changed) for name, config in FOLDS.items()}
    method, reason = choose(batching, runs, tmp_path)
    assert method == expected[0]
    assert reason == expected[1] or expected[1] in reason


def test_folders_of_interrupted_runs_decide(tmp_path):
    assert choose("scan", {"fold-1": CONFIG}, tmp_path) == (None, "there is one run only")
    (tmp_path / "fold-2" / "checkpoints" / "last" / "4").mkdir(parents=True)
    assert choose("scan", FOLDS, tmp_path) == (None, "fold-2 was started on its own")
    (tmp_path / "batched").mkdir()
    assert choose("vmap", FOLDS, tmp_path) == ("vmap", "they were started as batched runs")
    with pytest.raises(InputError, match=r"found off; without .*batched they start again"):
        choose("off", FOLDS, tmp_path)


def test_an_unknown_batching_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"unknown batching 'vamp': did you mean 'vmap'"):
        validate(tmp_path, "vamp")
