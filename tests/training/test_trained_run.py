"""Trained runs: what is loaded from a run folder, and folders that are refused."""

import json
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax.errors import InputError
from serjax.training.run_folder.trained_run import load_run
from tests.helpers.trained_runs import CLASSES, write_trained_run

OPTIONS = {"model": "dscnn", "model_options": {"hidden": 8}, "image_size": (32, 32)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder, configuration and variables of a run."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    return folder, *write_trained_run(folder, **OPTIONS)


def change(folder, copy, change_config=None, **metrics):
    """Copies a run folder with another configuration or other metrics."""
    shutil.copytree(folder, copy)
    for name, update in (("config", change_config), ("metrics", lambda m: m.update(metrics))):
        if update is not None:
            path = copy / f"{name}.json"
            content = json.loads(path.read_text())
            update(content)
            path.write_text(json.dumps(content))
    return copy


def test_configuration_classes_and_weights_are_loaded(trained):
    folder, config, variables = trained
    run = load_run(folder)
    assert run.classes == CLASSES
    assert run.config.model == config.model
    assert (run.config.data, run.config.seed) == (config.data, config.seed)
    jax.tree.map(np.testing.assert_array_equal, run.variables["params"], variables["params"])
    logits, _ = jax.jit(run.model.apply)(run.variables, jnp.zeros((1, 32, 32, 1)))
    assert logits.shape == (1, 3)


def test_loading_writes_nothing(trained):
    def state():
        return {
            path: path.stat().st_mtime_ns
            for path in [trained[0], *trained[0].rglob("*")]
            if path.exists()
        }

    before = state()
    load_run(trained[0])
    assert state() == before


@pytest.mark.parametrize("earlier", [True, False])
def test_a_damaged_best_checkpoint_is_named_and_the_one_before_it_offered(
    trained, tmp_path, earlier
):
    folder = shutil.copytree(trained[0], tmp_path / "run")
    best = folder / "checkpoints" / "best"
    (best / "0").rename(best / "8")
    if earlier:
        shutil.copytree(best / "8", best / "5")
    path = folder / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "best_step": 8}))
    (best / "8" / "hashes" / "metadata").write_text("{}")
    with pytest.raises(InputError, match="best/8: not a checkpoint of this model, or a") as refused:
        load_run(folder)
    offer = 'with "best_step": 5 in metrics.json, the one before it is used'
    assert str(refused.value).endswith(offer) is earlier
    if earlier:
        path.write_text(json.dumps({**json.loads(path.read_text()), "best_step": 5}))
        assert load_run(folder).classes == CLASSES


def test_options_of_the_model_can_differ(trained):
    run = load_run(trained[0], "dscnn", dropout_rate=0.75, dtype=jnp.bfloat16)
    assert run.model.dropout_rate == 0.75
    assert run.model.dtype == jnp.bfloat16
    assert run.model.hidden == 8
    assert run.config.model.options["dropout_rate"] == 0.75


def test_other_models_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match="run: expected a run of vgg16, found one of dscnn"):
        load_run(trained[0], "vgg16")
    folder = change(trained[0], tmp_path / "svm", lambda c: c["model"].update(name="svm"))
    with pytest.raises(InputError, match="svm: expected a run of a network, whose weights are s"):
        load_run(folder)


def test_folders_without_one_finished_run_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: expected a finished run folder .* no such fol"):
        load_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: expected .* with config\.json, found none"):
        load_run(tmp_path / "empty")
    folder = change(trained[0], tmp_path / "set")
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["best_step"]  # as in the folder of a cross-validation
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(InputError, match="set: expected one run, whose weights are saved; found s"):
        load_run(folder)


def test_checkpoints_that_do_not_fit_are_refused(trained, tmp_path):
    folder = change(
        trained[0], tmp_path / "other", lambda c: c["model"].update(options={"hidden": 16})
    )
    with pytest.raises(InputError, match="not a checkpoint of this model"):
        load_run(folder)
    folder = change(trained[0], tmp_path / "step", best_step=7)
    with pytest.raises(InputError, match="best: expected a checkpoint of step 7, found"):
        load_run(folder)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (lambda c: c.update(dataset="emodb"), r"config\.json: unknown key 'dataset'"),
        (
            lambda c: c["model"].update(options={"hidden": -8}),
            r"config\.json: not options of dscnn",
        ),
        (
            lambda c: c["model"].update(options={"hiden": 8}),
            r"config\.json: not options of dscnn: u",
        ),
        (
            lambda c: c["model"].update(front_end="x"),
            r"config\.json: not options of dscnn.*unknown front end 'x'",
        ),
        (lambda c: c.update(classes=["anger"]), r"config\.json: not options of dscnn: num_classes"),
        (lambda c: c.update(classes="anger"), "classes: expected a list, found 'anger'"),
    ],
)
def test_damaged_configurations_are_refused(trained, tmp_path, update, message):
    with pytest.raises(InputError, match=message):
        load_run(change(trained[0], tmp_path / "damaged", update))


def test_modules_of_the_configuration_are_named_and_not_imported(trained, tmp_path, monkeypatch):
    (tmp_path / "module_of_a_user.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def update(config):
        config.update(imports=["module_of_a_user"])
        config["model"].update(name="net_of_a_user")

    with pytest.raises(InputError, match="found one of net_of_a_user; import module_of_a_user f"):
        load_run(change(trained[0], tmp_path / "run", update))
    assert "module_of_a_user" not in sys.modules
