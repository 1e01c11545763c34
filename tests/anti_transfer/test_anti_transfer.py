"""Anti-transfer in training: teachers, what is kept of them, and the commands."""

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
from serjax.anti_transfer import source_tasks
from serjax.anti_transfer.loss import AntiTransferLoss
from serjax.anti_transfer.source_network import UNTRAINED, chance_level_note, load_source_networks
from serjax.data import batches
from serjax.errors import InputError
from serjax.training.build import abstract_variables, build_model, input_shape
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
    """Teachers for the speaker, of both algebras."""
    folder = tmp_path_factory.mktemp("teachers")
    return {
        name: training.run(
            dataclasses.replace(CONFIG, model=name, target="speaker", split="random"),
            out=folder / name,
        )
        for name in ("vgg16", "quat_vgg16")
    }


def loss_of(name, *specs, dtype=jnp.float32):
    model = build_model(dataclasses.replace(CONFIG, model=name), 4)
    front_end = models.front_end(name)
    teachers = load_source_networks(specs, name, front_end, dtype)
    abstract = abstract_variables(model, front_end)
    return model, AntiTransferLoss(model, abstract, front_end, specs, teachers)


def terms(model, loss, references, indices, variables, x, mask):
    """The terms of a batch, in one program with the network."""

    @jax.jit
    def apply(references, variables, x, mask):
        forward = loss.beside(functools.partial(model.apply, mutable=["batch_stats"]), references)
        (_, features), _ = forward(variables, x, mask=mask)
        return loss(references, indices, features)

    return apply(references, variables, x, mask)


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    waveforms = [rng.normal(0, 0.1, n).astype(np.float32) for n in (64000, 40000, 9000)]
    return jax.device_put(batches.pack(waveforms, [0, 1, 2], 64000, room=64000))


@pytest.mark.parametrize("name", ["vgg16", "quat_vgg16"])
def test_terms_are_the_losses_of_whole_networks_kept_or_not(name, speakers, examples):
    teacher = training.AntiTransfer(str(speakers[name]), ("all",), 0.5)
    model, loss = loss_of(name, teacher)
    front_end = models.front_end(name)
    variables = random_variables(model, input_shape(front_end))
    members = np.arange(3, dtype=np.int32)
    indices = jnp.asarray([2, 0, -1, 1])
    start, length, _, _ = batches.select(examples, indices)
    x, mask = jax.jit(front_end)(batches.cut(examples.samples, start, length, 64000), length)
    _, features = jax.jit(model.apply)(variables, x, mask=mask)

    # By whole networks, one on the other's embedding.
    run = training.finished.load_run(speakers[name])
    shared, network, of_teacher = x, run.model, run.variables
    if name.startswith("quat_"):
        shared, network = features["embedding"], run.model.classifier
        of_teacher = {"params": of_teacher["params"]["classifier"]}
    _, theirs = jax.jit(network.apply)(of_teacher, shared)
    layers = ("conv1", "conv2", "conv3")
    expected = sum(losses.anti_transfer_loss(features[n], theirs[n], 0.5) for n in layers)
    assert np.all(expected > 1e-3)

    found = terms(model, loss, loss.references(), indices, variables, x, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # as other compilations round
    kept = loss.keep(variables, examples, members, 2)
    found = np.asarray(terms(model, loss, kept, indices, variables, x, mask))
    np.testing.assert_allclose(found[[0, 1, 3]], expected[jnp.array([0, 1, 3])], atol=1e-3)
    assert sum(layer.nbytes for layer in kept.kept) == loss.kept_bytes(3)


def test_bfloat16_teachers_hold_the_loss_within_a_thousandth(speakers, examples):
    teacher = training.AntiTransfer(str(speakers["vgg16"]), ("3",))
    model, loss = loss_of("vgg16", teacher)
    _, rough = loss_of("vgg16", teacher, dtype=jnp.bfloat16)
    variables = random_variables(model, input_shape(models.front_end("vgg16")))
    indices = jnp.arange(3)
    start, length, _, _ = batches.select(examples, indices)
    x, mask = models.front_end("vgg16")(batches.cut(examples.samples, start, length, 64000), length)
    exact, near = (
        terms(model, term, term.references(), indices, variables, x, mask) for term in (loss, rough)
    )
    np.testing.assert_allclose(near, exact, atol=1e-3)


def test_of_a_teacher_only_what_its_layer_needs_is_held(speakers):
    _, loss = loss_of("quat_vgg16", training.AntiTransfer(str(speakers["quat_vgg16"]), ("2",)))
    # Kernels and biases of two quaternion convolutions, 4 -> 8 -> 8 channels.
    assert sorted(leaf.size for leaf in loss.teachers[0].leaves) == [8, 8, 9 * 8, 9 * 16]


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
def test_teachers_layers_are_kept_where_their_input_stays(
    speakers, name, augmentation, freeze, why
):
    _, loss = loss_of(name, training.AntiTransfer(str(speakers[name])))
    assert loss.why_not_kept(100, augmentation, freeze) == why
    if why is None:
        assert "too much" in loss.why_not_kept(10**9, augmentation, freeze)


def test_a_step_descends_the_sum_of_both_losses(speakers, examples):
    """The update is that of cross-entropy plus terms, differentiated outside of the step."""
    name = "quat_vgg16"
    model, loss = loss_of(name, training.AntiTransfer(str(speakers[name]), ("2",), 3.0))
    front_end = models.front_end(name)
    variables = random_variables(model, input_shape(front_end))
    optimizer = optax.sgd(0.1)
    step = training.make_train_step(
        model, front_end, optimizer, jax.random.key(0), 4, anti_transfer=loss
    )
    references = loss.references()
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
        (theirs,) = loss.teachers[0](references.leaves[0], shared, mask)
        terms = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        terms += losses.anti_transfer_loss(features["conv2"], theirs, 3.0)
        return jnp.sum(terms * weight) / 2

    expected = jax.tree.map(
        lambda p, g: p - 0.1 * g, variables["params"], jax.jit(gradient)(variables["params"])
    )
    before = [np.asarray(leaf) for leaf in references.leaves[0]]
    state, result = step(state_of(variables, optimizer), examples, indices, references)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.params, expected
    )
    assert result.anti_transfer > 0.1
    for leaf, same in zip(references.leaves[0], before, strict=True):
        np.testing.assert_array_equal(leaf, same)


def test_a_run_with_a_fixed_embedding_keeps_and_holds_it(speakers, tmp_path):
    teacher = str(speakers["quat_vgg16"])
    config = dataclasses.replace(
        CONFIG, freeze={"embedding": None}, anti_transfer=(training.AntiTransfer(teacher),)
    )
    console = Console(record=True, width=200)
    folder = training.run(config, out=tmp_path / "run", console=console)
    assert "Gram matrices are kept" in console.export_text()
    theirs, ours = (
        training.finished.load_run(path).variables for path in (speakers["quat_vgg16"], folder)
    )
    for collection in ("params", "batch_stats"):
        jax.tree.map(
            np.testing.assert_array_equal,
            ours[collection]["embedding"],
            theirs[collection]["embedding"],
        )
    assert report.read_history(folder / "history.csv")[0]["train_anti_transfer"] > 0
    described = json.loads((folder / "config.json").read_text())
    assert described["anti_transfer"] == [
        {"teacher": teacher, "layers": ["2"], "beta": 1.0, "aggregation": "gram"}
    ]

    # The second of a dual anti-transfer starts from the first.
    second = config.replace(init=str(folder))
    folder = training.run(second, out=tmp_path / "second")
    assert training.finished.load_run(folder).config.model == "quat_vgg16"


def test_a_task_finds_or_trains_its_teacher_on_the_training_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    student = dataclasses.replace(CONFIG, model="vgg16", split="speaker")
    console = Console(record=True, width=200)
    folder = source_tasks.find_or_train("speaker", student, console, [])
    task = training.prepare(student, models.front_end("vgg16"), console)
    tested = {task.corpus.utterances[i].speaker for i in (*task.split.test, *task.split.validation)}
    taught = json.loads((folder / "config.json").read_text())["classes"]
    assert taught
    assert not tested & set(taught)
    # Found the second time, and only by the same student.
    assert source_tasks.find_or_train("speaker", student, console, []) == folder
    assert console.export_text().count("training a teacher") == 1
    other = student.replace(model_options={**STAGES, "hidden": 12})
    assert source_tasks.source_task_config("speaker", other).model_options["hidden"] == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": "nowhere"}, "nowhere: expected a finished run folder"),
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
def test_what_cannot_be_is_refused(speakers, tmp_path, change, message):
    term = training.AntiTransfer(str(speakers["quat_vgg16"]))
    config = dataclasses.replace(CONFIG, anti_transfer=(dataclasses.replace(term, **change),))
    with pytest.raises(InputError, match=message):
        training.run(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_teachers_of_another_network_are_refused(speakers, tmp_path):
    real = training.AntiTransfer(str(speakers["vgg16"]))
    with pytest.raises(InputError, match="expected a run of quat_vgg16, found one of vgg16"):
        training.run(dataclasses.replace(CONFIG, anti_transfer=(real,)), out=tmp_path / "run")
    wider = dataclasses.replace(
        CONFIG,
        model_options={"stages": ((8, 12), (16,)), "hidden": 16},
        anti_transfer=(training.AntiTransfer(str(speakers["quat_vgg16"])),),
    )
    with pytest.raises(InputError, match=r"conv2 of the shape \(64, 64, 12\) .*\(64, 64, 8\)"):
        training.run(wider, out=tmp_path / "run")


@pytest.mark.parametrize(("right", "told"), [(5, True), (7, True), (10, False)])
def test_a_teacher_that_learnt_nothing_is_told_of(right, told, tmp_path):
    run_folder(tmp_path / "teacher", right, (1.0,))
    note = chance_level_note(str(tmp_path / "teacher"))
    assert (note is not None) is told
    if note is not None:
        assert f"its 2 classes no better than chance, 50.0 %: its UA is {10 * right}.0 %" in note
    assert chance_level_note(UNTRAINED) is None


def test_a_teacher_hears_what_its_student_does(speakers, tmp_path):
    config = dataclasses.replace(CONFIG, model="vgg16", image_size=(32, 32))
    teacher = training.run(
        config.replace(target="speaker", split="random"), out=tmp_path / "teacher"
    )
    term = training.AntiTransfer(str(teacher))
    folder = training.run(config.replace(anti_transfer=(term,)), out=tmp_path / "run")
    assert report.read_history(folder / "history.csv")[0]["train_anti_transfer"] > 0
    # Of one epoch, it knows little, which the run and its page say.
    notes = json.loads((folder / "config.json").read_text())["notes"]
    assert notes == [chance_level_note(str(teacher))]
    other = training.AntiTransfer(str(speakers["vgg16"]))
    with pytest.raises(InputError, match=r"hears what vgg16 does: image_size \[32, 32\] not None"):
        training.run(config.replace(anti_transfer=(other,)), out=tmp_path / "other")
