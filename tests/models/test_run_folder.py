"""Loading of weights from the folders of finished runs."""

import csv
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import serjax
from serjax import data, models, training
from serjax.errors import InputError
from serjax.models import pretrained
from tests.helpers.networks import write_trained_run

pytestmark = pytest.mark.usefixtures("standard_promotion")

SPEAKERS = [f"s{i}" for i in range(5)]


def equal(tree, other):
    return jax.tree.all(jax.tree.map(np.array_equal, tree, other))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A finished run that recognizes five speakers, and its variables."""
    folder = tmp_path_factory.mktemp("run") / "speakers"
    return folder, write_trained_run(folder, "dscnn", SPEAKERS, {"hidden": 16})


@pytest.fixture(scope="module")
def run(saved):
    return saved[0]


def change(folder, **entries):
    """Changes entries of `config.json`; None removes one."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **entries}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def test_a_trained_run_predicts_the_same_after_loading(tmp_path):
    corpus_options = {"speakers": 5, "words": 2}
    config = training.RunConfig.make(
        model="dscnn",
        model_options={"hidden": 16},
        dataset_options=corpus_options,
        target="speaker",
        split="random",
        epochs=1,
    )
    run = training.run(config, out=tmp_path / "speakers")
    model, variables = pretrained.load("dscnn", run)
    corpus, waveforms = data.waveforms(data.load("synthetic", **corpus_options), 16000)
    with (run / "predictions.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["split"] == "test")
    waveform = waveforms[[u.path for u in corpus.utterances].index(row["path"])]
    front_end = models.front_end("dscnn")
    x, mask = front_end(jnp.asarray(waveform)[None], jnp.array([len(waveform)], jnp.int32))
    logits, _ = model.apply(variables, x, mask=mask)
    expected = [float(value) for name, value in row.items() if name.startswith("p_")]
    assert len(expected) == 5
    np.testing.assert_allclose(jax.nn.softmax(logits)[0], expected, atol=1e-3)


def test_all_weights_are_loaded(saved):
    folder, expected = saved
    model, variables = serjax.pretrained.load("dscnn", folder)
    assert (model.num_classes, model.hidden, model.dtype) == (5, 16, jnp.float32)
    assert equal(variables, expected)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_a_model_of_speakers_becomes_a_model_of_emotions(run):
    # Padi et al. (2021), section 3.2, replace the dense layers.
    _, whole = pretrained.load("dscnn", run)
    model, variables = pretrained.load("dscnn", run, 4, fresh=["dense1"], dropout_rate=0.5)
    assert (model.num_classes, model.hidden, model.dropout_rate) == (4, 16, 0.5)
    for name, leaves in variables["params"].items():
        is_loaded = name not in ("dense1", "head")
        assert equal(leaves, whole["params"][name]) is is_loaded or name == "head"
    assert variables["params"]["head"]["kernel"].shape == (16, 4)
    assert equal(variables["batch_stats"], whole["batch_stats"])


@pytest.mark.parametrize(
    ("options", "dtype", "param_dtype"),
    [
        ({}, jnp.bfloat16, jnp.float32),
        ({"dtype": jnp.float32}, jnp.float32, jnp.float32),
        ({"param_dtype": jnp.bfloat16}, jnp.bfloat16, jnp.bfloat16),
    ],
)
def test_the_arithmetic_is_that_of_the_run_unless_it_is_set(
    run, tmp_path, options, dtype, param_dtype
):
    folder = shutil.copytree(run, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    change(folder, model={**config["model"], "dtype": "bfloat16"})
    model, variables = pretrained.load("dscnn", folder, **options)
    assert model.dtype == dtype
    assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {jnp.dtype(param_dtype)}


def test_the_input_size_is_that_of_the_run(run, tmp_path):
    """The first dense layer of a network of fixed input size depends on the front end."""
    folder = shutil.copytree(run, tmp_path / "run")
    front_end = json.loads((folder / "config.json").read_text())["resolved_front_end"]
    change(folder, resolved_front_end={**front_end, "image_size": [64, 128]})
    message = r"dense1/kernel: expected an array of shape \(4096, 16\), found \(8192, 16\)"
    with pytest.raises(InputError, match=message):
        pretrained.load("dscnn", folder)
    change(folder, resolved_front_end={**front_end, "colormap": "jet"})
    with pytest.raises(InputError, match=r"conv1/kernel: expected .*, 3, 16"):
        pretrained.load("dscnn", folder, input_channels=3)


def test_a_network_takes_the_encoder_of_rhemo(tmp_path, key):
    rhemo = write_trained_run(tmp_path / "rhemo", "rhemo", ["anger", "joy"], {"hidden": 4})
    model, variables = pretrained.load("quat_dscnn", tmp_path / "rhemo", 3, key=key)
    assert isinstance(model, models.Embedded)
    for collection in ("params", "batch_stats"):
        assert equal(variables[collection]["embedding"], rhemo[collection]["embedding"])
    assert variables["params"]["classifier"]["head"]["kernel"].shape[-1] == 3
    assert jnp.any(variables["params"]["classifier"]["conv1"]["kernel"])
    with pytest.raises(InputError, match="expected a run of vgg16, found one of rhemo"):
        pretrained.load("vgg16", tmp_path / "rhemo")


def test_the_modules_of_a_run_register_its_model(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "import flax.linen as nn\n"
        "from serjax import models\n"
        "@models.register('my_net')\n"
        "class MyNet(nn.Module):\n"
        "    num_classes: int\n"
        "    @nn.compact\n"
        "    def __call__(self, x, *, train=False, mask=None):\n"
        "        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2))), {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import my_networks

    expected = write_trained_run(tmp_path / "run", "my_net", SPEAKERS, imports=["my_networks"])
    assert my_networks.MyNet
    try:
        model, variables = pretrained.load("my_net", tmp_path / "run")
        assert type(model).__name__ == "MyNet"
        assert equal(variables["params"], expected["params"])
        assert variables["batch_stats"] == {}
    finally:
        models.unregister("my_net")


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet34_stats", {}, "expected a run of resnet34_stats, found one of dscnn"),
        ("quat_dscnn", {}, "expected a run of quat_dscnn, found one of dscnn"),
        ("dscnn", {"hidden": 32}, "not a checkpoint of this model, or a damaged one: "),
        ("dscnn", {"input_channels": 3}, "input_channels: expected 1, as in the run .*, found 3"),
        ("dscnn", {"hiden": 32}, "unknown option of dscnn 'hiden': did you mean 'hidden'"),
        ("dscn", {}, "unknown model 'dscn': did you mean 'dscnn'"),
    ],
)
def test_a_run_of_another_model_is_refused(run, name, options, message):
    with pytest.raises(InputError, match=message) as refused:
        pretrained.load(name, run, **options)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_under_another_models_name_is_refused(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    change(folder, model={"name": "vgg16", "options": {"stages": [[4]]}, "dtype": "float32"})
    with pytest.raises(
        InputError, match="not a checkpoint of this model, or a damaged one: "
    ) as refused:
        pretrained.load("vgg16", folder)
    assert "\n" not in str(refused.value)


def test_options_that_do_not_fit_together_are_refused(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    options = {"strides": [2, 2]}
    change(folder, model={"name": "dscnn", "options": options, "dtype": "float32"})
    with pytest.raises(InputError, match="run: not options of dscnn: "):
        pretrained.load("dscnn", folder)


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
def test_a_folder_without_a_finished_run_is_refused(run, tmp_path, name):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / name).unlink()
    message = rf"run: expected a finished run folder with {name.replace('.', '[.]')}, found none"
    with pytest.raises(InputError, match=message):
        pretrained.load("dscnn", folder)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected a finished run folder with config\.json"):
        pretrained.load("dscnn", tmp_path)


def test_a_folder_of_several_runs_is_refused(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="expected one run of a network, whose weights are saved"):
        pretrained.load("dscnn", folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"model": None}, "expected model, found none"),
        ({"model": {"name": "dscnn", "dtype": "float32"}}, "expected model.options, found none"),
        ({"model": "dscnn"}, "model: expected an object, found 'dscnn'"),
        ({"classes": None}, "expected classes, found none"),
        ({"resolved_front_end": None}, "expected resolved_front_end, found none"),
        (
            {"resolved_front_end": {"bin": 3}},
            "resolved_front_end: unknown key 'bin': did you mean 'bins'",
        ),
        ({"resolved_front_end": {"bins": "x"}}, "resolved_front_end.bins: expected a whole number"),
    ],
)
def test_a_damaged_configuration_is_refused(run, tmp_path, entries, message):
    folder = shutil.copytree(run, tmp_path / "run")
    change(folder, **entries)
    with pytest.raises(InputError, match=rf"config\.json: {message}"):
        pretrained.load("dscnn", folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "expected JSON, "), ("[]", "expected an object, found a list")],
)
def test_a_file_that_is_no_json_object_is_refused(run, tmp_path, content, message):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "metrics.json").write_text(content)
    with pytest.raises(InputError, match=rf"metrics\.json: {message}"):
        pretrained.load("dscnn", folder)


def test_a_missing_checkpoint_is_named(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "metrics.json").write_text('{"best_step": 8}')
    with pytest.raises(InputError, match=r"best: expected a checkpoint of step 8, found \[7\]"):
        pretrained.load("dscnn", folder)
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(InputError, match="best: expected a checkpoint of step 8, found none"):
        pretrained.load("dscnn", folder)


@pytest.mark.parametrize("damage", ["truncated", "removed"])
def test_a_damaged_checkpoint_is_refused(run, tmp_path, damage):
    folder = shutil.copytree(run, tmp_path / "run")
    for path in (folder / "checkpoints/best/7/variables").rglob("*"):
        if path.is_file():
            path.unlink() if damage == "removed" else path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError, match="best/7: not a checkpoint of this model, or") as refused:
        pretrained.load("dscnn", folder)
    assert "\n" not in str(refused.value)
