"""Tests of RH-emo's pretraining: targets, both stages, their run folder, and networks from it."""

import contextlib
import dataclasses
import json
import shutil
import signal
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax import models, report, rhemo, training
from serjax.anti_transfer.source_tasks import source_task_config
from serjax.data import dimensions
from serjax.data.corpus import EMOTIONS, Corpus, Utterance
from serjax.data.storage import builder
from serjax.errors import InputError
from serjax.models import pretrained
from serjax.rhemo import objective, pretraining
from serjax.rhemo.config import StageSettings
from serjax.training import stage as training_stage
from serjax.training.build import abstract_variables, build_model
from serjax.training.checks import check_config
from serjax.training.config.resolve import resolve
from serjax.training.objective.task_loss import Batch
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.trained_run import load_run
from serjax.training.single_run import initial_variables
from serjax.training.state import compile_initialization
from tests.helpers import processes
from tests.helpers.rhemo_config import CONFIG, SMALL

pytestmark = pytest.mark.usefixtures("standard_promotion")

HEADS = ("discrete", "valence", "arousal", "dominance")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, standard_promotion):
    """A small pretraining without interruption."""
    return rhemo.pretrain(CONFIG, out=tmp_path_factory.mktemp("rhemo") / "run")


# --- Valence, arousal and dominance --------------------------------------------------------------


def test_every_emotion_of_the_corpora_has_levels():
    assert set(dimensions.LEVELS) == set(EMOTIONS)


# Mean ratings from -1 to 1 of the terms angry, disgusted, fearful, happy, sad and surprised by
# Russell & Mehrabian (1977).
@pytest.mark.parametrize(
    ("emotion", "ratings"),
    [
        ("anger", (-0.51, 0.59, 0.25)),
        ("disgust", (-0.60, 0.35, 0.11)),
        ("fear", (-0.64, 0.60, -0.43)),
        ("happiness", (0.81, 0.51, 0.46)),
        ("sadness", (-0.63, -0.27, -0.33)),
        ("surprise", (0.40, 0.67, -0.13)),
    ],
)
def test_levels_are_the_signs_of_published_ratings(emotion, ratings):
    found, own = dimensions.targets([Utterance("a", emotion=emotion)], np.array([0]))
    np.testing.assert_array_equal(found, [np.array(ratings) > 0])
    assert own == []


def rated(emotion, **columns):
    return SimpleNamespace(emotion=emotion, **columns)


def test_a_corpus_own_dimensions_are_scaled_by_the_training_part():
    utterances = [
        rated("anger", valence=1.0, activation=5.0, dominance=None),
        rated("sadness", valence=4.0, activation=1.0, dominance=2.0),
        rated("happiness", valence=5.0, activation=2.0, dominance=3.0),
        rated("neutral", valence=2.5, activation=0.5, dominance=3.0),
    ]
    found, own = dimensions.targets(utterances, np.array([0, 1]))
    # Dominance, which is missing for one utterance, is mapped for all of them.
    expected = [[0, 1, 1], [1, 0, 0], [1, 0.25, 1], [0.5, 0, 0.5]]
    np.testing.assert_allclose(found, expected)
    assert found.dtype == np.float32
    assert own == ["valence", "activation"]


@pytest.mark.parametrize(
    ("utterances", "message"),
    [
        ([rated("irony")], r"emotion of anger, .*found 'irony'; --dimensions none"),
        ([rated(None)], "found None"),
        (
            [rated("anger", valence=2.0), rated("fear", valence=2.0)],
            "valence: .* 2 values.*found 2",
        ),
    ],
)
def test_bad_dimensions(utterances, message):
    with pytest.raises(InputError, match=message):
        dimensions.targets(utterances, np.arange(len(utterances)))


# --- Objectives, against their definition in NumPy -----------------------------------------------


def binary(p, y):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def random_outputs(mapped):
    rng = np.random.default_rng(0)
    logits, x = rng.normal(size=(3, 4)), rng.uniform(size=(3, 8, 2, 1))
    features = {"reconstruction_logits": rng.normal(size=x.shape)}
    if mapped:
        features |= {name: rng.normal(size=3) for name in HEADS[1:]}
    targets = rng.uniform(size=(5, 3 if mapped else 0))
    return logits, x, features, targets, np.array([0, 3, 1]), np.array([4, 0, 2])


def emotion_losses(logits, features, targets, labels):
    """0.01 (class cross-entropy + 100 (valence + arousal + dominance cross-entropy))."""
    losses = np.log(np.exp(logits).sum(-1)) - logits[np.arange(3), labels]
    for index, name in enumerate(HEADS[1:]):
        if name in features:
            losses = losses + 100 * binary(sigmoid(features[name]), targets[:, index])
    return 0.01 * losses


def batch_of(x, labels, utterance, step=0):
    """A batch of examples without padding."""
    labels, utterance, step = map(jnp.asarray, (labels, utterance, step))
    ones = jnp.ones(len(x))
    mask = jnp.ones(x.shape[:2], bool)
    return Batch(jnp.asarray(x, jnp.float32), mask, labels, ones, utterance, utterance, step)


def float32(tree):
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize(("step", "fraction"), [(0, 0.25), (2, 0.75), (3, 1.0), (40, 1.0)])
def test_losses_are_those_of_the_paper(mapped, step, fraction):
    logits, x, features, targets, labels, utterance = random_outputs(mapped)
    batch = batch_of(x, labels, utterance, step)
    first = binary(sigmoid(features["reconstruction_logits"]), x).mean((1, 2, 3))
    found = jax.jit(objective.reconstruction_loss)(float32(logits), float32(features), batch)
    np.testing.assert_allclose(found, first, rtol=1e-5)
    second = objective.emotions_loss(targets.astype(np.float32), warmup_steps=4)
    found = jax.jit(second)(float32(logits), float32(features), batch)
    emotions = emotion_losses(logits, features, targets[utterance], labels)
    np.testing.assert_allclose(found, first + fraction * emotions, rtol=1e-5)


def test_without_warm_up_the_whole_loss_counts_from_the_first_step():
    logits, x, features, targets, labels, utterance = random_outputs(True)
    batch = batch_of(x, labels, utterance)
    found = objective.emotions_loss(targets.astype(np.float32))(
        float32(logits), float32(features), batch
    )
    first = objective.reconstruction_loss(float32(logits), float32(features), batch)
    expected = emotion_losses(logits, features, targets[utterance], labels)
    np.testing.assert_allclose(found - first, expected, rtol=1e-5)


@pytest.mark.parametrize("mapped", [True, False])
def test_validation_measures_what_training_minimizes(mapped):
    logits, x, features, targets, labels, utterance = random_outputs(mapped)
    batch = batch_of(x, labels, utterance)
    targets = targets.astype(np.float32)
    found = np.asarray(objective.predict(float32(logits), float32(features), batch.x), np.float64)
    assert found.shape == (3, 4 + targets.shape[1] + 1)
    for emotions, stage in (
        (False, objective.reconstruction_loss),
        (True, objective.emotions_loss(targets)),
    ):
        expected = stage(float32(logits), float32(features), batch).mean()
        scores = objective.scores(found, labels, targets[utterance], with_emotions=emotions)
        assert scores["loss"] == pytest.approx(float(expected), rel=1e-4)
        assert scores["wa"] == pytest.approx(np.mean(logits.argmax(-1) == labels))
    # Probabilities that float32 rounds to 0 or 1 give a large loss, not an infinite one.
    certain = np.array([[0.0, 1.0, *[1.0] * 3, 0.5]])
    zeros = np.zeros((1, 3), np.float32)
    assert np.isfinite(objective.scores(certain, np.array([0]), zeros, with_emotions=True)["loss"])


def test_weight_decay_is_added_to_the_gradient():
    """As PyTorch's Adam has it, not AdamW's."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    weights = np.linspace(-2, 2, 5, dtype=np.float32)
    settings = StageSettings(1, 1, 0.01, 1, weight_decay=0.3)
    optimizer = pretraining.make_optimizer(settings)
    ours = {"w": jnp.asarray(weights)}
    moments = optimizer.init(ours)
    theirs = torch.tensor(weights, requires_grad=True)
    adam = torch.optim.Adam([theirs], lr=0.01, weight_decay=0.3)
    for _ in range(3):
        updates, moments = optimizer.update({"w": jnp.sin(ours["w"])}, moments, ours)
        ours = optax.apply_updates(ours, updates)
        theirs.grad = torch.sin(theirs.detach())
        adam.step()
    np.testing.assert_allclose(ours["w"], theirs.detach().numpy(), rtol=1e-5)


# --- Runs ----------------------------------------------------------------------------------------


def test_a_pretraining_writes_a_run_folder(finished):
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        *("config.json", "history.csv", "metrics.json", "predictions.csv", "timing.json"),
        *("checkpoints", "curves.png", "confusion.png", "report.html"),
        *("reconstruction.png", "embedding.png", "encoder.npz"),
    }
    history = report.read_history(finished / "history.csv")
    assert [(row["epoch"], row["stage"]) for row in history] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    # The first stage minimizes only the loss of the reconstruction.
    assert all(row["validation_loss"] == row["validation_reconstruction"] for row in history[:2])
    assert all(row["validation_loss"] > row["validation_reconstruction"] for row in history[2:])
    assert history[1]["validation_loss"] < history[0]["validation_loss"]
    metrics = report.read_metrics(finished / "metrics.json")
    assert metrics["best_epoch"] in (3, 4)
    after = metrics["reconstruction"]["reconstruction"]
    assert after["validation"] == pytest.approx(
        min(row["validation_reconstruction"] for row in history[:2]), rel=1e-5
    )
    described = json.loads((finished / "config.json").read_text())
    assert described["emotions"]["warmup_epochs"] == 1
    assert described["optimizer"]["learning_rate"] is None
    page = (finished / "report.html").read_text()
    assert "Reconstructions" in page
    assert "Embedding" in page


def best_of_stages(folder):
    run = load_run(folder)
    steps = [int(p.name) for p in (folder / "checkpoints/reconstruction/best").glob("[0-9]*")]
    first = Checkpoints(folder / "checkpoints/reconstruction").restore_best(
        run.variables, max(steps)
    )
    return first["params"], run.variables["params"]


def differs(a, b):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in leaves)


def test_the_first_stage_trains_only_the_autoencoder(finished):
    run = load_run(finished)
    key = jax.random.split(jax.random.key(0), 3)[0]
    x = jnp.zeros((1, 512, 128, 1), jnp.float32)
    initial = compile_initialization(lambda key: run.model.init(key, x)["params"], key)
    first, second = best_of_stages(finished)
    for name in HEADS:
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8),
            first[name],
            initial[name],
        )
        assert differs(second[name], first[name])
    for name in ("embedding", "decoder"):
        assert differs(first[name], initial[name])
        assert differs(second[name], first[name])


class StopAfter:
    """Requests a stop after a number of batches."""

    def __init__(self, batches):
        self.left = batches

    @property
    def signal_number(self):
        self.left -= 1
        return signal.SIGINT if self.left <= 0 else None

    @contextlib.contextmanager
    def installed(self):
        yield self


def test_both_stages_resume_to_the_same_results(finished, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(training_stage, "StopRequest", lambda: StopAfter(1))
        for resume in (False, True):
            with pytest.raises(training.InterruptedRunError):
                rhemo.pretrain(CONFIG, out=folder, resume=resume)
        assert not (folder / "checkpoints/last").exists()
        # Two batches are left of the first stage's four.
        patched.setattr(training_stage, "StopRequest", lambda: StopAfter(3))
        with pytest.raises(training.InterruptedRunError):
            rhemo.pretrain(CONFIG, out=folder, resume=True)
        assert (folder / "checkpoints/last").exists()
    rhemo.pretrain(CONFIG, out=folder, resume=True)
    for name in ("metrics.json", "predictions.csv", "encoder.npz"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_several_devices_share_the_batches_of_both_stages(finished, tmp_path):
    pytest.importorskip("tensorboardX")
    processes.start(2, "pretrain", tmp_path / "run", "shard_map")
    for name in ("reconstruction", "emotions"):
        assert list((tmp_path / "run/tensorboard" / name).iterdir())
    history, expected = (
        report.read_history(folder / "history.csv") for folder in (tmp_path / "run", finished)
    )
    assert [row["stage"] for row in history] == [row["stage"] for row in expected]
    # The shards' gradients add up to those of the batch, but for the order of sums.
    for column in ("train_loss", "validation_loss", "validation_reconstruction"):
        np.testing.assert_allclose(
            [row[column] for row in history], [row[column] for row in expected], rtol=2e-3
        )


def test_another_stage_is_another_run(finished):
    other = dataclasses.replace(CONFIG, reconstruction={**SMALL, "learning_rate": 0.5})
    with pytest.raises(InputError, match=r"another run there: reconstruction .*0\.5"):
        rhemo.pretrain(other, out=finished, resume=True)


def test_without_dimensions_their_classifiers_are_left_out():
    model = build_model(dataclasses.replace(CONFIG, dimensions="none").run_config(), 4)
    params = abstract_variables(model, models.front_end("rhemo"))["params"]
    assert set(params) == {"embedding", "decoder", "discrete"}
    whole = abstract_variables(build_model(CONFIG.run_config(), 4), models.front_end("rhemo"))
    assert set(whole["params"]) == {"embedding", "decoder", *HEADS}


def test_defaults_are_the_papers_except_on_the_bundled_corpus():
    published = rhemo.RHEmoConfig(training.RunConfig.make(model="rhemo", dataset="emodb"))
    first, second = published.stages()
    assert (first.learning_rate, first.batch_size, first.patience) == (1e-3, 50, 100)
    assert (second.learning_rate, second.batch_size, second.patience) == (1e-6, 20, 30)
    assert (first.weight_decay, second.weight_decay) == (0, 1e-5)
    assert "hidden" not in published.run_config().model.options
    config = rhemo.RHEmoConfig()
    assert sum(stage.epochs for stage in config.stages()) <= 20
    assert config.run_config().model.options["hidden"] == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimensions": "circumplex"}, "unknown dimensions 'circumplex'.*mapped, none"),
        ({"emotions": {"rate": 1}}, "unknown setting of emotions 'rate'.*learning_rate"),
        ({"emotions": {"epochs": 0}}, "emotions, epochs: expected at least 1, found 0"),
        ({"emotions": {"warmup_epochs": -1}}, "warmup_epochs: expected at least 0, found -1"),
        ({"reconstruction": {"learning_rate": 0}}, "learning_rate: expected more than 0, found 0"),
        ({"run": training.RunConfig.make(model="vgg16")}, "expected rhemo.*found vgg16"),
        (
            {"run": training.RunConfig.make(model="rhemo", epochs=3)},
            "optimizer.epochs: .* stages .*found 3",
        ),
        (
            {"run": training.RunConfig.make(model="rhemo", init="a")},
            "model.init: .* stages .*found 'a'",
        ),
    ],
)
def test_bad_configurations_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        rhemo.pretrain(dataclasses.replace(CONFIG, **change), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- What starts from it -------------------------------------------------------------------------


def test_a_quaternion_network_takes_only_the_encoder(finished, key):
    model, variables = pretrained.load("quat_dscnn", finished, 3, key=key)
    own = load_run(finished).variables
    x = jnp.zeros((1, 512, 128, 1), jnp.float32)
    fresh = compile_initialization(lambda key: model.init(key, x), key)
    for name in ("params", "batch_stats"):
        jax.tree.map(
            np.testing.assert_array_equal, variables[name]["embedding"], own[name]["embedding"]
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
            variables[name]["classifier"],
            fresh[name]["classifier"],
        )
    assert variables["params"]["classifier"]["head"]["bias"].shape == (3,)
    # The file next to the checkpoints holds the same.
    with np.load(finished / "encoder.npz") as file:
        kernel = own["params"]["embedding"]["conv1"]["kernel"]
        np.testing.assert_array_equal(file["params/conv1/kernel"], kernel)


def test_other_networks_cannot_take_the_encoder(finished, tmp_path):
    with pytest.raises(InputError, match="expected a run of vgg16, found one of rhemo"):
        pretrained.load("vgg16", finished)
    other = tmp_path / "quaternion"
    other.mkdir()
    for name in ("config.json", "metrics.json"):
        shutil.copy(finished / name, other)
    described = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(
        json.dumps({**described, "model": {**described["model"], "name": "quat_rhemo"}})
    )
    with pytest.raises(InputError, match="expected a run of quat_dscnn, found one of quat_rhemo"):
        pretrained.load("quat_dscnn", other)
    with pytest.raises(InputError, match="input_channels: expected 1"):
        pretrained.load("quat_dscnn", finished, input_channels=3)


def shapes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)


def test_the_shipped_encoder_is_of_the_networks_shapes():
    model = models.create("quat_dscnn", 4)
    wanted = abstract_variables(model, models.front_end("quat_dscnn"))
    found = pretrained.encoder()
    for name in ("params", "batch_stats"):
        assert shapes(found[name]) == shapes(wanted[name]["embedding"])
    assert sum(leaf.size for leaf in jax.tree.leaves(found["params"])) == 256
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize(
    ("asked", "shipped"), [(None, True), ("pretrained", True), ("random", False)]
)
def test_runs_start_from_the_shipped_encoder(asked, shipped):
    config = training.RunConfig.make(model="quat_dscnn", embedding=asked)
    config = resolve(config)
    model = build_model(config, 4)
    front_end = models.front_end(config.model.name)
    variables = initial_variables(config, model, jax.random.key(1), front_end, 4)
    encoder = pretrained.encoder()
    for name in ("params", "batch_stats"):
        assert differs(variables[name]["embedding"], encoder[name]) != shipped
    assert shapes(variables["params"]) == shapes(abstract_variables(model, front_end)["params"])


TWO = {"corpora": {"tess": "TESS", "emodb": "EMODB"}}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "pretrained"),
        ({"dataset": "ravdess"}, "pretrained"),
        ({"model": "phm2_dscnn"}, "pretrained"),
        ({"model": "dscnn"}, None),
        ({"dataset": "emodb"}, "random"),
        ({"dataset": "emodb", "embedding": "pretrained"}, "pretrained"),
        ({"dataset": "ravdess", "test_dataset": "emodb"}, "random"),
        ({"dataset": "joined", "dataset_options": TWO}, "random"),
        ({"test_dataset": "joined", "test_dataset_options": TWO}, "random"),
    ],
)
def test_the_pretrained_encoder_is_no_default_on_its_own_corpus(settings, expected):
    config = training.RunConfig.make(**{"model": "quat_dscnn", **settings})
    assert resolve(config).model.embedding == expected
    # A student starts from the encoder of its source network, which must be the same.
    assert source_task_config("speaker", config).model.embedding == expected


def test_a_stored_corpus_is_recognized_by_its_source(tmp_path):
    rng = np.random.default_rng(0)
    utterances = tuple(Utterance(f"{n}.wav", "anger", "a", "b") for n in range(3))
    for name, expected in (("emodb", "random"), ("ravdess", "pretrained")):
        corpus = Corpus(name, utterances, lambda *_: rng.normal(size=800).astype(np.float32))
        builder.write(corpus, tmp_path / name, sample_rate=16_000)
        config = training.RunConfig.make(
            model="quat_dscnn", dataset="tfds", data_dir=str(tmp_path / name)
        )
        assert resolve(config).model.embedding == expected


def test_an_unknown_start_is_refused():
    with pytest.raises(InputError, match="unknown embedding 'pretraind': did you mean 'pretrained"):
        check_config(training.RunConfig.make(embedding="pretraind"))


# --- Pictures ------------------------------------------------------------------------------------


def test_pictures_refuse_what_they_cannot_show():
    x = np.zeros((2, 16, 4))
    with pytest.raises(ValueError, match="expected 3 spectrograms"):
        report.plot_reconstructions(x, x, ["a", "b", "c"], 1.0, 8000.0)
    with pytest.raises(ValueError, match=r"expected an embedding \[rows, columns, 4\]"):
        report.plot_embedding(x[0], np.zeros((2, 2, 3)), 1.0, 8000.0)
