"""Driver of training: one stage from initial variables to the best ones."""

import jax
import numpy as np
import optax
import pytest
from rich.console import Console

from serjax import training
from serjax.training.build import build_model, input_shape
from serjax.training.config.resolve import front_end_of, resolve
from serjax.training.evaluate import scores
from serjax.training.objective.task_loss import class_probabilities, classification_loss
from serjax.training.stage import RunContext, Stage, train_stage
from serjax.training.trackers.progress import Clock
from tests.helpers.networks import random_variables

pytestmark = pytest.mark.usefixtures("standard_promotion")

CONFIG = resolve(
    training.RunConfig.make(
        model="dscnn",
        dataset_options={"speakers": 4, "words": 1},
        model_options={"hidden": 4},
        batch_size=8,
    )
)


@pytest.fixture(scope="module")
def run(standard_promotion):
    front_end = front_end_of(CONFIG)
    dataset = training.prepare_dataset(CONFIG, front_end, Console(quiet=True))
    model = build_model(CONFIG, len(dataset.classes))
    return RunContext(CONFIG, dataset, model, front_end, Console(quiet=True), Clock())


def stage_of(run, **changes):
    labels = run.dataset.labels
    fields = {
        "key": jax.random.key(0),
        "loss": classification_loss(),
        "predict": class_probabilities,
        "score": lambda probabilities, indices: scores(probabilities, labels[indices]),
        "optimizer": lambda steps: (optax.sgd(0.0), 0.0),
        "batch_size": 8,
        "epochs": 3,
        "patience": 2,
        "monitor": "loss",
        **changes,
    }
    return Stage(**fields)


def variables_of(run):
    return random_variables(run.model, input_shape(run.front_end))


def test_a_stage_ends_when_the_monitor_does_not_improve(run, tmp_path):
    """With a learning rate of zero only the running statistics change."""
    trained = train_stage(
        run, stage_of(run, epochs=9), lambda: variables_of(run), tmp_path, tmp_path / "checkpoints"
    )
    initial = variables_of(run)["params"]
    jax.tree.map(np.testing.assert_array_equal, trained.variables["params"], initial)
    history = trained.loop.history
    assert trained.loop.best_epoch <= len(history) - 2 or len(history) == 9
    assert [row["learning_rate"] for row in history] == [0.0] * len(history)


def test_a_stage_continues_from_its_checkpoints(run, tmp_path):
    def optimizer(steps):
        return optax.adam(1e-3), 1e-3

    stages = [stage_of(run, epochs=epochs, optimizer=optimizer) for epochs in (3, 2, 3)]
    folders = [tmp_path / name for name in ("whole", "parts", "parts")]
    trained = [
        train_stage(run, stage, lambda: variables_of(run), folder, folder / "checkpoints")
        for stage, folder in zip(stages, folders, strict=True)
    ]
    assert [len(each.loop.history) for each in trained] == [3, 2, 3]
    jax.tree.map(np.testing.assert_array_equal, trained[0].variables, trained[2].variables)
    utterances = np.sort(run.dataset.split.test)
    np.testing.assert_array_equal(*[trained[n].evaluate(utterances) for n in (0, 2)])
