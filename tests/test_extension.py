"""Models, corpora, losses, augmentations and metrics of a user, registered from outside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

MODULE = '''
"""A user's own corpus, model, losses, augmentation and metric."""

import flax.linen as nn
import jax.numpy as jnp
import optax

from serjax import augment, data, losses, metrics, models, training
from serjax.data.corpus import Utterance, corpus_of_files


@models.register("tiny")
class Tiny(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        x = nn.relu(nn.Conv(8, (5, 5), strides=(4, 4))(x)).mean((1, 2))
        return nn.Dense(self.num_classes)(x), {"pooled": x}


@data.register("mine")
def load(data_dir):
    files = sorted(data_dir.glob("*.wav"))
    names = [file.stem.split("_") for file in files]
    utterances = [
        Utterance(file.name, emotion=name[0].lower(), speaker=name[1])
        for file, name in zip(files, names)
    ]
    return corpus_of_files("mine", utterances, data_dir)


@losses.register("smoothed")
def smoothed(logits, labels, features):
    targets = optax.smooth_labels(jnp.eye(logits.shape[-1])[labels], 0.1)
    return optax.softmax_cross_entropy(logits, targets)


@training.register_auxiliary_loss("activity")
def activity(features, batch, logits):
    return jnp.mean(features["pooled"] ** 2, axis=-1)


@metrics.register("lowest_recall", "lowest recall")
def lowest_recall(confusion):
    return metrics.recall(confusion).min(axis=-1)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A user's folder with a module and recordings, four speakers with two emotions each."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_module.py").write_text(MODULE)
    (folder / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for emotion, pitch in (("ANGER", 400), ("SADNESS", 120)):
        for speaker in range(5):
            for take in range(3):
                time = np.arange(8000) / 16000
                tone = np.sin(2 * np.pi * (pitch + 9 * speaker + take) * time)
                sound = 0.3 * tone + 0.01 * rng.standard_normal(8000)
                name = f"{emotion}_speaker{speaker}_{take}.wav"
                soundfile.write(folder / "recordings" / name, sound, 16000)
    return folder


def run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "serjax.cli", *arguments]
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_users_module_works_in_the_commands(folder):
    options = ("--import", "my_module", "--model", "tiny", "--dataset", "mine")
    options += ("--data-dir", "recordings", "--loss", "smoothed", "--epochs", "2")
    printed = run(folder, "train", *options, "--batch-size", "4", "--out", "run")
    assert "lowest recall" in printed
    metrics = json.loads((folder / "run/metrics.json").read_text())
    assert set(metrics["test"]["lowest_recall"]) == {"value", "low", "high"}
    assert "lowest recall" in (folder / "run/report.html").read_text()
    files = sorted(str(path) for path in (folder / "recordings").glob("*.wav"))[:2]
    predicted = run(folder, "predict", "run", *files, "--import", "my_module", "--format", "json")
    assert len(json.loads(predicted)) == 2
    # The file of a run's options names the module, but only the command imports one.
    run(folder, "train", "--config", "run/config.json", "--import", "my_module", "--out", "again")
    first, second = (folder / name / "predictions.csv" for name in ("run", "again"))
    assert first.read_text() == second.read_text()
    assert "mine" in run(
        folder, "corpus", "mine", "--data-dir", "recordings", "--import", "my_module"
    )


def test_functions_take_a_corpus_and_an_auxiliary_loss_of_a_user(folder):
    program = """
import my_module
from pathlib import Path
from serjax import data, protocols, training
corpus = my_module.load(Path("recordings"))
config = training.RunConfig.make(
    model="tiny", epochs=1, batch_size=4,
    auxiliary_losses=(training.AuxiliaryLossConfig("activity", 0.1),),
)
training.run(config, corpus=corpus, out="from-python")
protocols.cross_validate(config, corpus=corpus, folds=3, out="folds")
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    header = (folder / "from-python/history.csv").read_text().splitlines()[0]
    assert "train_activity" in header
    assert (folder / "folds/summary.json").exists()
