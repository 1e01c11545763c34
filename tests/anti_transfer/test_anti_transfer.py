"""Tests of anti-transfer in training: source networks, their cache, and the auxiliary loss."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from serjax import losses, models, report, training
from serjax.anti_transfer import (
    UNTRAINED,
    AntiTransfer,
    AntiTransferLoss,
    load_source_networks,
    source_tasks,
)
from serjax.anti_transfer.source_network import chance_level_note
from serjax.data import batches
from serjax.errors import InputError
from serjax.files import portable
from serjax.training import single_run
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.checks import check_config
from serjax.training.config.resolve import resolve
from serjax.training.objective.task_loss import Batch
from serjax.training.run_folder.trained_run import load_run
from serjax.training.state import state_of
from tests.helpers.networks import random_variables
from tests.helpers.run_folders import run_folder

pytestmark = pytest.mark.usefixtures("standard_promotion")

STAGES = {"stages": ((8, 8), (16,)), "hidden": 16}
CONFIG = training.RunConfig.make(
    model="quat_vgg16",
    model_options=STAGES,
    dataset_options={"speakers": 6, "words": 2, "takes": 1},
    epochs=1,
)


@pytest.fixture(scope="module")
def speakers(tmp_path_factory, standard_promotion):
    """Source networks for the speaker, of both algebras."""
    folder = tmp_path_factory.mktemp("source-networks")
    return {
        name: training.run(
            CONFIG.replace(model=name, target="speaker", split="random"),
            out=folder / name,
        )
        for name in ("vgg16", "quat_vgg16")
    }


def loss_of(name, *terms, dtype=jnp.float32, **options):
    model = build_model(CONFIG.replace(model=name), 4)
    front_end = models.front_end(name)
    networks = load_source_networks(terms, name, front_end, dtype)
    abstract = abstract_variables(model, front_end)
    return model, AntiTransferLoss(model, abstract, front_end, terms, networks, **options)


def values_of(model, loss, arrays, indices, variables, x, mask):
    """Computes the losses of a batch, in one program with the network."""

    @jax.jit
    def compute(arrays, variables, x, mask):
        apply = loss.wrap(functools.partial(model.apply, mutable=["batch_stats"]), arrays)
        (logits, features), _ = apply(variables, x, mask=mask)
        ones = jnp.ones(len(x))
        batch = Batch(x, mask, indices, ones, indices, indices, jnp.int32(0))
        return loss(arrays, batch, features, logits)

    return compute(arrays, variables, x, mask)


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    waveforms = [rng.normal(0, 0.1, n).astype(np.float32) for n in (64000, 40000, 9000)]
    return jax.device_put(batches.pack(waveforms, [0, 1, 2], 64000, room=64000))


@pytest.mark.parametrize("name", ["vgg16", "quat_vgg16"])
def test_values_are_the_losses_of_whole_networks_cached_or_not(name, speakers, examples):
    term = AntiTransfer(str(speakers[name]), ("all",), 0.5)
    model, loss = loss_of(name, term)
    front_end = models.front_end(name)
    variables = random_variables(model, input_shape(front_end))
    training_indices = np.arange(3, dtype=np.int32)
    indices = jnp.asarray([2, 0, -1, 1])
    start, length, _, _ = batches.select(examples, indices)
    x, mask = jax.jit(front_end)(batches.cut(examples.samples, start, length, 64000), length)
    _, features = jax.jit(model.apply)(variables, x, mask=mask)

    # By whole networks, the source network on the output of the other's encoder.
    run = load_run(speakers[name])
    shared, network, of_source = x, run.model, run.variables
    if name.startswith("quat_"):
        shared, network = features["embedding"], run.model.classifier
        of_source = {"params": of_source["params"]["classifier"]}
    _, source_features = jax.jit(network.apply)(of_source, shared)
    layers = ("conv1", "conv2", "conv3")
    expected = sum(losses.anti_transfer_loss(features[n], source_features[n], 0.5) for n in layers)
    assert np.all(expected > 1e-3)

    values = values_of(model, loss, loss.references(), indices, variables, x, mask)
    np.testing.assert_allclose(values, expected, rtol=1e-4)  # other compilations round differently
    cached = loss.cache(variables, examples, training_indices, 2)
    values = np.asarray(values_of(model, loss, cached, indices, variables, x, mask))
    np.testing.assert_allclose(values[[0, 1, 3]], expected[jnp.array([0, 1, 3])], atol=1e-3)
    assert sum(layer.nbytes for layer in cached.cached) == loss.cache_bytes(3)


def test_bfloat16_source_networks_change_the_loss_by_a_thousandth_at_most(speakers, examples):
    term = AntiTransfer(str(speakers["vgg16"]), ("3",))
    model, loss = loss_of("vgg16", term)
    _, rough = loss_of("vgg16", term, dtype=jnp.bfloat16)
    variables = random_variables(model, input_shape(models.front_end("vgg16")))
    indices = jnp.arange(3)
    start, length, _, _ = batches.select(examples, indices)
    x, mask = models.front_end("vgg16")(batches.cut(examples.samples, start, length, 64000), length)
    exact, near = (
        values_of(model, each, each.references(), indices, variables, x, mask)
        for each in (loss, rough)
    )
    np.testing.assert_allclose(near, exact, atol=1e-3)


def test_only_the_variables_that_the_layer_needs_are_stored(speakers):
    _, loss = loss_of("quat_vgg16", AntiTransfer(str(speakers["quat_vgg16"]), ("2",)))
    # Kernels and biases of two quaternion convolutions, 4 -> 8 -> 8 channels.
    assert sorted(leaf.size for leaf in loss._sources[0].leaves) == [8, 8, 9 * 8, 9 * 16]


@pytest.mark.parametrize(
    ("name", "augmentation", "freeze", "why"),
    [
        ("vgg16", "none", {}, None),
        ("vgg16", "conservative", {}, "augmentation changes the input"),
        ("quat_vgg16", "none", {}, "the embedding trains"),
        ("quat_vgg16", "none", {"embedding": 100}, "the embedding trains"),
        ("quat_vgg16", "none", {"embedding/conv.*": None}, "the embedding trains"),
        ("quat_vgg16", "none", {"embedding": None}, None),
    ],
)
def test_layers_are_cached_if_their_input_is_constant(speakers, name, augmentation, freeze, why):
    term = AntiTransfer(str(speakers[name]))
    _, loss = loss_of(name, term, augmentation=augmentation, frozen=freeze)
    assert loss.why_not_cached(100) == why
    if why is None:
        assert "too large" in loss.why_not_cached(10**9)


def test_a_step_descends_the_sum_of_both_losses(speakers, examples):
    """The update is that of cross-entropy plus terms, differentiated outside of the step."""
    name = "quat_vgg16"
    model, loss = loss_of(name, AntiTransfer(str(speakers[name]), ("2",), 3.0))
    front_end = models.front_end(name)
    variables = random_variables(model, input_shape(front_end))
    optimizer = optax.sgd(0.1)
    step = training.make_train_step(
        model, front_end, optimizer, jax.random.key(0), 4, auxiliary_losses={"anti_transfer": loss}
    )
    arrays = loss.references()
    indices = jnp.array([0, 1, -1])

    @jax.grad
    def gradient(params):
        start, length, label, weight = batches.select(examples, indices)
        x, mask = front_end(batches.cut(examples.samples, start, length, 64000), length)
        (logits, features), _ = model.apply(
            {**variables, "params": params},
            x,
            train=True,
            mask=mask,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.split(jax.random.fold_in(jax.random.key(0), 0), 3)[2]},
        )
        shared = jax.lax.stop_gradient(features["embedding"])
        (of_source,) = loss._sources[0](arrays.leaves[0], shared, mask)
        terms = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        terms += losses.anti_transfer_loss(features["conv2"], of_source, 3.0)
        return jnp.sum(terms * weight) / 2

    expected = jax.tree.map(
        lambda p, g: p - 0.1 * g, variables["params"], jax.jit(gradient)(variables["params"])
    )
    before = [np.asarray(leaf) for leaf in arrays.leaves[0]]
    state, result = step(
        state_of(variables, optimizer), examples, indices, {"anti_transfer": arrays}
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.params, expected
    )
    assert result.auxiliary["anti_transfer"] > 0.1
    for leaf, same in zip(arrays.leaves[0], before, strict=True):
        np.testing.assert_array_equal(leaf, same)


def test_a_run_with_a_frozen_embedding_caches_the_source_network(speakers, tmp_path):
    source = str(speakers["quat_vgg16"])
    config = CONFIG.replace(
        freeze={"embedding": None}, auxiliary_losses=(AntiTransfer(source).to_config(),)
    )
    console = Console(record=True, width=200)
    folder = training.run(config, out=tmp_path / "run", console=console)
    assert "the Gram matrices of its source networks are cached" in console.export_text()
    of_source, trained = (load_run(path).variables for path in (source, folder))
    for collection in ("params", "batch_stats"):
        jax.tree.map(
            np.testing.assert_array_equal,
            trained[collection]["embedding"],
            of_source[collection]["embedding"],
        )
    assert report.read_history(folder / "history.csv")[0]["train_anti_transfer"] > 0
    content = json.loads((folder / "config.json").read_text())
    assert portable.to_absolute(content["auxiliary_losses"], folder) == [
        {
            "name": "anti_transfer",
            "weight": 1.0,
            "options": {"source": source, "layers": ["2"], "aggregation": "gram"},
        }
    ]

    # The second run of a dual anti-transfer starts from the first.
    second = config.replace(init=str(folder))
    folder = training.run(second, out=tmp_path / "second")
    assert load_run(folder).config.model.name == "quat_vgg16"


def test_a_source_network_is_found_or_trained_on_the_training_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    student = CONFIG.replace(model="vgg16", split="speaker")
    console = Console(record=True, width=200)
    folder = source_tasks.find_or_train("speaker", student, console, [])
    dataset = training.prepare_dataset(student, models.front_end("vgg16"), console)
    utterances = (*dataset.split.test, *dataset.split.validation)
    tested = {dataset.corpus.utterances[i].speaker for i in utterances}
    trained = json.loads((folder / "config.json").read_text())["classes"]
    assert trained
    assert not tested & set(trained)
    # Found the second time, and only by the same student.
    assert source_tasks.find_or_train("speaker", student, console, []) == folder
    assert console.export_text().count("training a source network") == 1
    other = student.replace(model_options={**STAGES, "hidden": 12})
    assert source_tasks.source_task_config("speaker", other).model.options["hidden"] == 12


def test_a_network_starts_with_the_encoder_of_a_run(speakers):
    model, front_end = build_model(CONFIG, 4), models.front_end("quat_vgg16")

    def initial(**values):
        config = resolve(CONFIG.replace(**values))
        return single_run.initial_variables(config, model, jax.random.key(1), front_end, 4)

    of_run = load_run(speakers["quat_vgg16"]).variables
    started, random = initial(embedding=str(speakers["quat_vgg16"])), initial(embedding="random")
    for collection, tree in started.items():
        jax.tree.map(
            np.testing.assert_array_equal, tree["embedding"], of_run[collection]["embedding"]
        )
    jax.tree.map(
        np.testing.assert_array_equal,
        started["params"]["classifier"],
        random["params"]["classifier"],
    )
    with pytest.raises(InputError, match="expected a run of rhemo or of a network with its enc"):
        initial(embedding=str(speakers["vgg16"]))
    with pytest.raises(InputError, match="unknown embedding 'nowhere': known are random, pretr"):
        check_config(CONFIG.replace(embedding="nowhere"))


def test_an_untrained_source_network_leaves_the_encoder_as_it_is(speakers):
    name = "quat_vgg16"
    run = load_run(speakers[name])
    abstract = abstract_variables(run.model, models.front_end(name))
    arguments = run.model, abstract, models.front_end(name)
    for source, is_started in ((UNTRAINED, False), (str(speakers[name]), True)):
        network = (run.model, run.variables)
        loss = AntiTransferLoss(*arguments, [AntiTransfer(source)], [network])
        assert (loss.initial_embedding is not None) is is_started


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "nowhere"}, "nowhere: expected a finished run folder"),
        ({"layers": ("conv9",)}, "unknown layer for anti-transfer 'conv9': did you mean 'conv"),
        (
            {"layers": ("4",)},
            "unknown layer for anti-transfer 'conv4'.*known are conv1, conv2, conv3",
        ),
        ({"layers": ()}, "at least one layer"),
        ({"beta": 0.0}, "beta: expected more than 0, found 0.0"),
        ({"aggregation": "median"}, "unknown aggregation 'median'.*gram"),
    ],
)
def test_bad_anti_transfer_is_refused(speakers, tmp_path, change, message):
    term = AntiTransfer(str(speakers["quat_vgg16"]))
    config = CONFIG.replace(auxiliary_losses=(dataclasses.replace(term, **change).to_config(),))
    with pytest.raises(InputError, match=message):
        training.run(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_source_networks_of_another_model_are_refused(speakers, tmp_path):
    real = AntiTransfer(str(speakers["vgg16"]))
    with pytest.raises(InputError, match="expected a run of quat_vgg16, found one of vgg16"):
        training.run(CONFIG.replace(auxiliary_losses=(real.to_config(),)), out=tmp_path / "run")
    wider = CONFIG.replace(
        model_options={"stages": ((8, 12), (16,)), "hidden": 16},
        auxiliary_losses=(AntiTransfer(str(speakers["quat_vgg16"])).to_config(),),
    )
    with pytest.raises(InputError, match=r"conv2 of the shape \(64, 64, 12\) .*\(64, 64, 8\)"):
        training.run(wider, out=tmp_path / "run")


@pytest.mark.parametrize(("right", "is_noted"), [(5, True), (7, True), (10, False)])
def test_a_source_network_at_chance_level_is_noted(right, is_noted, tmp_path):
    run_folder(tmp_path / "source", right, (1.0,))
    note = chance_level_note(str(tmp_path / "source"))
    assert (note is not None) is is_noted
    if note is not None:
        assert f"its 2 classes no better than chance, 50.0 %: its UA is {10 * right}.0 %" in note
    assert chance_level_note(UNTRAINED) is None


def test_a_source_network_has_the_front_end_of_its_student(speakers, tmp_path):
    config = CONFIG.replace(model="vgg16", image_size=(32, 32))
    source = training.run(config.replace(target="speaker", split="random"), out=tmp_path / "source")
    term = AntiTransfer(str(source))
    folder = training.run(
        config.replace(auxiliary_losses=(term.to_config(),)), out=tmp_path / "run"
    )
    assert report.read_history(folder / "history.csv")[0]["train_anti_transfer"] > 0
    # After one epoch it is near chance level, which the run and its page note.
    notes = json.loads((folder / "config.json").read_text())["notes"]
    assert notes == [chance_level_note(str(source))]
    other = AntiTransfer(str(speakers["vgg16"]))
    with pytest.raises(
        InputError, match=r"with the front end of vgg16: image_size \[32, 32\] not None"
    ):
        training.run(config.replace(auxiliary_losses=(other.to_config(),)), out=tmp_path / "other")
