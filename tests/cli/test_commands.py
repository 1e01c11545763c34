"""Commands: errors of a line or two with exit status 2 and no traceback, and their outputs."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serjax import data, training
from serjax.errors import InputError
from tests.helpers.commands import call
from tests.helpers.trees import emodb

pytestmark = pytest.mark.usefixtures("standard_promotion")

SMALL = [
    *("--model", "dscnn", "--model-option", "hidden=16", "--epochs", "2"),
    *("--dataset-option", "speakers=5", "--dataset-option", "words=2"),
]


@pytest.fixture
def train(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capfd, "train", *arguments)


@pytest.fixture
def pretrain(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capfd, "pretrain", *arguments)


@pytest.fixture
def predict(monkeypatch, capfd):
    return lambda *arguments: call(monkeypatch, capfd, "predict", *arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, standard_promotion):
    """A finished run of a small model on a small corpus, with none of its usual preprocessing."""
    folder = tmp_path_factory.mktemp("run") / "small"
    config = training.RunConfig.make(
        model="dscnn",
        model_options={"hidden": 16},
        dataset_options={"speakers": 5, "words": 2},
        epochs=2,
        silence="keep",
        colormap="viridis",
        image_size=(32, 40),
        augment="tiwari",
    )
    return training.run(config, out=folder)


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--model", "quat_vg16"], ["'quat_vg16'", "did you mean 'quat_vgg16'?"]),
        (["--dataset", "emodbb"], ["'emodbb'", "did you mean 'emodb'?"]),
        (["--split", "speakr"], ["'speakr'", "did you mean 'speaker'?"]),
        (["--labels", "iemocap_exp4"], ["'iemocap_exp4'", "did you mean 'iemocap_exp"]),
        (["--labels", "kapoor"], ["synthetic", "frustration", "class 'stress'"]),
        (["--labels", "kapoor", "--target", "speaker"], ["expected emotion", "'kapoor'"]),
        (["--augment", "agressive"], ["'agressive'", "did you mean 'aggressive'?"]),
        (["--silence", "removed"], ["'removed'", "did you mean 'remove'?"]),
        (["--colormap", "virids"], ["'virids'", "did you mean 'viridis'?"]),
        (["--image-size", "0", "64"], ["--image-size: expected at least 1 x 1, found 0 x 64"]),
        (
            ["--model", "alexnet", "--image-size", "20", "20"],
            ["expected input of at least", "found 20 x 20"],
        ),
        (["--target", "emotions"], ["'emotions'", "did you mean 'emotion'?"]),
        (["--schedule", "cosin"], ["did you mean 'cosine'?"]),
        (["--optimizer", "adamw"], ["unknown optimizer 'adamw'", "did you mean 'adam'?"]),
        (
            ["--schedule", "step_decay", "--step-decay", "8", "2", "1.5"],
            ["--step-decay: expected", "factor in (0, 1], found 8 2 1.5"],
        ),
        (["--dtype", "float16"], ["unknown dtype 'float16'", "float32, bfloat16"]),
        (["--epochs", "0"], ["error: --epochs: expected at least 1, found 0"]),
        (["--learning-rate", "-1"], ["--learning-rate: expected more than 0, found -1"]),
        (["--learning-rate", "inf"], ["--learning-rate: expected more than 0, found inf"]),
        (["--weight-decay", "-1"], ["--weight-decay: expected at least 0, found -1.0"]),
        (
            ["--step-decay", "8", "2", "0.1"],
            ["--step-decay: expected with the schedule step_decay, found with cosine"],
        ),
        (["--seed", "-1"], ["--seed: expected 0 to 2**32 - 1, found -1"]),
        (["--epoch", "3"], ["unknown flag '--epoch'", "did you mean '--epochs'?"]),
        (["--epochs", "many"], ["--epochs", "'many'", "--help"]),
        (["--fractions", "0.8", "0.2"], ["--fractions: expected 3 arguments"]),
        (["dscnn"], ["expected flags, found 'dscnn'"]),
        (["--fractions", "0.5", "0.5", "0.5"], ["fractions", "0.5"]),
        (["--model-option", "widht=3"], ["'widht'", "option of quat_vgg16"]),
        (["--model-option", "dropout_rate=high"], ["expected a number, found 'high'"]),
        (["--model-option", "hidden=512.5"], ["expected a whole number, found 512.5"]),
        (["--model-option", "dropout_rate=1.5"], ["below 1, found 1.5"]),
        (["--dataset-option", "speaker=9"], ["'speaker'", "did you mean 'speakers'?"]),
        (["--dataset-option", "speakers=2"], ["speakers must be at least 3; found 2"]),
        (["--dataset", "joined"], ["joined: expected the option corpora, found none"]),
        (
            ["--dataset", "joined", "--dataset-option", "corpora=tess"],
            ["expected corpora with their folders", "found 'tess'"],
        ),
        (["--dataset", "emodb"], ["no data directory given", "wav/"]),
        (["--dataset", "ravdess", "--data-dir", "nowhere"], ["nowhere", "does not exist"]),
        (["--model-option", "hidden=1022"], ["multiple of 4", "1022"]),
        (
            ["--anti-transfer", "speakr"],
            ["folder of a finished run, or speaker or word or untrained", "speakr"],
        ),
        (
            ["--model", "dscnn", "--anti-transfer", "speaker", "--at-layer", "99"],
            ["'conv99'", "conv7"],
        ),
        (["--at-layer", "2"], ["--at-layer: expected with --anti-transfer SOURCE"]),
        (
            ["--anti-transfer", "a", "--at-beta", "1", "--at-beta", "2"],
            ["--at-beta: expected once, or once for each of 1 source networks, found 2 times"],
        ),
        (["--anti-transfer", "speaker", "--at-beta", "-1"], ["beta: expected more than 0"]),
        (["--freeze", "stem"], ["'stem': expected to match a layer", "classifier/conv1"]),
        (["--freeze", "(", "--dataset-option", "words=2"], ["'(': not a regular expression"]),
        (["--init", "nowhere"], ["--init: expected the folder of a run, or a file: no nowhere"]),
        (["--profile", "4:2"], ["--profile: expected steps from 1 on", "found 4:2"]),
        (["--profile", "1:2", "--model", "svm"], ["--profile: expected none with svm"]),
        (["--tensorboard", "--model", "svm"], ["--tensorboard: expected none with svm"]),
        (["--batch-size", "0"], ["error: --batch-size: expected at least 1, found 0"]),
        (
            ["--model", "knn", "--augment", "aggressive"],
            ["error: --augment: expected none with knn, found 'aggressive'"],
        ),
        (["--embedding", "radnom"], ["'radnom'", "did you mean 'random'?"]),
        (
            ["--dataset", "joined", "--dataset-option", "corpora=5"],
            ["joined", "corpora", "found 5"],
        ),
        (
            ["--model", "vgg16", "--embedding", "pretrained"],
            [
                "error: --embedding: expected none with vgg16, which has no encoder, found "
                "pretrained"
            ],
        ),
    ],
)
def test_bad_arguments(train, arguments, messages):
    status, _, errors = train(*arguments)
    assert status == 2
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) <= 2
    for message in messages:
        assert message in errors


def test_malformed_option_is_refused_by_the_parser(train):
    status, _, errors = train("--model-option", "hidden")
    assert status == 2
    assert "expected KEY=VALUE, found 'hidden'" in errors


def test_a_freezing_step_is_a_number(train):
    status, _, errors = train("--freeze", "embedding=soon")
    assert status == 2
    assert "expected LAYERS or LAYERS=STEP, found 'embedding=soon'" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "speakers"], "unknown task 'speakers': did you mean 'speaker'"),
        (["--task", "word", "--target", "text"], "unknown flag '--target'"),
        (["--task", "word", "--model", "svm"], "--model: expected a network, whose weights"),
        ([], "--task"),
        (["--task", "rhemo", "--dimensions", "low"], "unknown dimensions 'low'"),
        (["--task", "rhemo", "--epochs", "3"], "--epochs: expected none for the whole pretraining"),
        (["--task", "rhemo", "--emotions", "epoch=3"], "did you mean 'epochs'?"),
        (["--task", "rhemo", "--emotions", "epochs=0"], "--emotions, epochs: expected at least 1"),
        (["--task", "rhemo", "--reconstruction", "3"], "expected KEY=VALUE, found '3'"),
        (["--task", "word", "--dimensions", "none"], "unknown flag '--dimensions'"),
    ],
)
def test_bad_tasks(pretrain, arguments, message):
    status, _, errors = pretrain(*arguments)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors


def test_anti_transfer_from_a_pretrained_source_network(pretrain, train):
    status, _, errors = pretrain("--task", "word", *SMALL, "--out", "words")
    assert status == 0, errors
    status, output, errors = train(*SMALL, "--anti-transfer", "words", "--at-layer", "1,2")
    assert status == 0, errors
    assert "conv1, conv2 of words (beta 1, gram)" in output
    status, _, errors = train(*SMALL, "--anti-transfer", "words", "--at-layer", "8")
    assert status == 2
    assert "unknown layer for anti-transfer 'conv8'" in errors
    assert "conv7" in errors


def test_empty_folder(train, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, errors = train("--dataset", "emodb", "--data-dir", "empty")
    assert status == 2
    assert "empty" in errors


def test_too_few_speakers(train, tmp_path):
    emodb(tmp_path / "corpus", speakers=("03", "08"))
    status, _, errors = train("--dataset", "emodb", "--data-dir", "corpus", "--split", "speaker")
    assert status == 2
    assert "speaker" in errors
    assert "Traceback" not in errors


def test_class_missing_from_training(train, tmp_path):
    corpus = emodb(tmp_path / "corpus")
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, 16000)
    soundfile.write(corpus / "wav" / "03a01Fa.wav", noise, 16000)
    status, _, errors = train("--dataset", "emodb", "--data-dir", "corpus", "--split", "random")
    assert status == 2
    assert "happiness" in errors


def test_short_utterance_is_named(train, tmp_path):
    corpus = emodb(tmp_path / "corpus")
    soundfile.write(corpus / "wav" / "03a04Wa.wav", np.full(100, 0.1), 16000)
    status, _, errors = train("--model", "dscnn", "--dataset", "emodb", "--data-dir", "corpus")
    assert status == 2
    assert "03a04Wa.wav: expected at least one window of 1024 samples" in errors
    assert "found 100" in errors


def test_bad_files_are_skipped_only_if_asked(train, tmp_path):
    corpus = emodb(tmp_path / "corpus")
    (corpus / "wav" / "03a04Wa.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    soundfile.write(corpus / "wav" / "03a05Wa.wav", np.full(100, 0.1), 16000)
    arguments = ["--dataset", "emodb", "--data-dir", "corpus", "--out", "run", *SMALL[:6]]
    status, _, errors = train(*arguments)
    assert status == 2
    assert "03a04Wa.wav" in errors
    assert "--skip-bad-files" in errors
    status, output, errors = train(*arguments, "--skip-bad-files")
    assert status == 0, errors
    assert "03a04Wa.wav" in output
    notes = json.loads((tmp_path / "run" / "config.json").read_text())["notes"]
    assert any("03a04Wa.wav" in note for note in notes)
    assert any("03a05Wa.wav" in note for note in notes)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "03a04Wa.wav" in page


def test_a_folder_with_another_run(train, finished):
    status, _, errors = train(*SMALL, "--out", finished)
    assert status == 2
    assert "another run" in errors
    assert "--resume" in errors


def test_a_taken_folder_is_reported_before_anything_is_read(train, finished):
    status, _, errors = train("--dataset", "emodb", "--data-dir", "nowhere", "--out", finished)
    assert status == 2
    assert "another run" in errors


def test_a_folder_with_other_files(train, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("all of it")
    status, _, errors = train(*SMALL, "--out", "mine")
    assert status == 2
    assert "other files" in errors
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_resuming_with_other_settings(train, finished):
    status, _, errors = train(*SMALL, "--seed", "1", "--out", finished, "--resume")
    assert status == 2
    assert "seed" in errors


def test_run_folder(finished):
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        *("config.json", "history.csv", "metrics.json", "predictions.csv", "timing.json"),
        *("checkpoints", "curves.png", "confusion.png", "confusion.pdf", "report.html"),
    }
    metrics = json.loads((finished / "metrics.json").read_text())
    with (finished / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    correct = sum(row["true"] == row["predicted"] for row in rows)
    assert metrics["test"]["wa"]["value"] == pytest.approx(correct / len(rows))


class TestPredict:
    def test_formats_agree_with_the_run(self, predict, finished, tmp_path):
        with (finished / "predictions.csv").open() as file:
            row = next(csv.DictReader(file))
        corpus = data.load("synthetic", speakers=5, words=2)
        utterance = next(u for u in corpus.utterances if u.path == row["path"])
        path = tmp_path / "utterance.wav"
        soundfile.write(path, corpus.read(utterance, 16000), 16000, subtype="FLOAT")
        status, output, errors = predict(finished, path, "--format", "json")
        assert status == 0, errors
        (result,) = json.loads(output)
        probabilities = result["probabilities"]
        assert result["predicted"] == max(probabilities, key=probabilities.get)
        expected = {name: float(row[f"p_{name}"]) for name in probabilities}
        assert probabilities == pytest.approx(expected, abs=1e-4)
        _, output, _ = predict(finished, path, "--format", "csv")
        read = next(csv.DictReader(io.StringIO(output)))
        assert {name: float(read[f"p_{name}"]) for name in probabilities} == probabilities
        assert read["predicted"] == result["predicted"]
        _, output, _ = predict(finished, path)
        line = output.splitlines()[1]  # a pipe gets a table as wide as its longest path
        assert line.split()[:2] == [str(path), max(probabilities, key=probabilities.get)]

    def test_any_rate_channels_and_length(self, predict, finished, tmp_path):
        noise = 0.1 * np.random.default_rng(0).standard_normal((48000 * 9, 2))
        soundfile.write(tmp_path / "long.flac", noise, 48000)
        soundfile.write(tmp_path / "short.wav", noise[:1600, 0], 8000)
        files = [tmp_path / "long.flac", tmp_path / "short.wav"]
        status, output, errors = predict(finished, *files, "--format", "json")
        assert status == 0, errors
        for result in json.loads(output):
            assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-5)

    def test_no_such_run(self, predict, tmp_path):
        status, _, errors = predict(tmp_path / "nowhere", "x.wav")
        assert status == 2
        assert "expected a finished run folder" in errors

    def test_in_code(self, finished):
        recognizer = training.Recognizer(str(finished))
        with pytest.raises(InputError, match=r"waveform 0: expected \[samples\].*\(2, 16000\)"):
            recognizer([np.zeros((2, 16000), np.float32)])

    def test_a_folder_of_several_runs(self, predict, finished, tmp_path):
        for name in ("config.json", "metrics.json"):
            shutil.copy(finished / name, tmp_path)
        metrics = json.loads((tmp_path / "metrics.json").read_text())
        del metrics["best_step"]  # as of cross-validation, see serjax.report.write_run_set
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
        status, _, errors = predict(tmp_path, "x.wav")
        assert status == 2
        assert f"{tmp_path}: expected one run" in errors

    def test_no_such_file(self, predict, finished):
        status, _, errors = predict(finished, "nowhere.wav")
        assert status == 2
        assert "nowhere.wav" in errors
        assert "Traceback" not in errors

    def test_too_short(self, predict, finished, tmp_path):
        soundfile.write(tmp_path / "click.wav", np.full(100, 0.1), 16000)
        status, _, errors = predict(finished, tmp_path / "click.wav")
        assert status == 2
        assert "click.wav: expected at least 0.064 s, found 0.006 s" in errors

    def test_checkpoint_of_another_model(self, predict, finished, tmp_path):
        other = tmp_path / "other"
        shutil.copytree(finished, other)
        config = json.loads((other / "config.json").read_text())
        config["model"]["options"] = {"hidden": 32}
        (other / "config.json").write_text(json.dumps(config))
        soundfile.write(tmp_path / "noise.wav", np.full(16000, 0.1), 16000)
        status, _, errors = predict(other, tmp_path / "noise.wav")
        assert status == 2
        assert "not a checkpoint of this model" in errors
        assert "Traceback" not in errors


def test_an_encoder_trained_on_the_corpus_is_noted(train, tmp_path):
    emodb(tmp_path / "corpus")
    status, output, errors = train(
        *("--model", "quat_dscnn", "--model-option", "hidden=16", "--image-size", "32", "40"),
        *("--dataset", "emodb", "--data-dir", tmp_path / "corpus", "--epochs", "1"),
        *("--embedding", "pretrained", "--out", tmp_path / "run"),
    )
    assert status == 0, errors
    assert "parameters, pretrained embedding, on emodb:" in output
    assert "note: the pretrained encoder was trained on speakers of emodb" in output
    assert "--embedding random uses none of them" in (tmp_path / "run/report.html").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_a_process_starts_again_once_and_keeps_its_arguments(tmp_path):
    script = tmp_path / "shown.py"
    script.write_text(
        "import os, sys\n"
        "from serjax.cli.parser import keep_memory\n"
        "print('start', os.environ.get('GLIBC_TUNABLES'), flush=True)\n"
        "keep_memory()\n"
        "print('end', os.environ.get('GLIBC_TUNABLES'), sys.argv[1:], sys.flags.optimize)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    words = [sys.executable, "-O", str(script), "--a", "b c"]
    result = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    choice = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    setting = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=17179869184"
    if choice.exists() and "[madvise]" in choice.read_text():
        setting += ":glibc.malloc.hugetlb=1"
    assert result.stdout.splitlines() == [
        "start None",
        f"start {setting}",
        f"end {setting} ['--a', 'b c'] 1",
    ]

    environment["GLIBC_TUNABLES"] = "glibc.malloc.check=0"
    result = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["start", "end"]
