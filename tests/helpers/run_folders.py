"""Run folders as a run leaves them, with random answers, and the size of their pictures."""

import io
import struct
import zlib

import numpy as np
from matplotlib.image import imread

from serjax import report


def history(epochs):
    return [
        {name: epoch if name == "epoch" else 1 / 3 + epoch / 7e3 for name in report.HISTORY_COLUMNS}
        for epoch in range(1, epochs + 1)
    ]


def predictions(classes, per_speaker=12, seed=0):
    """Random answers of four test and two validation speakers, half of them right."""
    generator = np.random.default_rng(seed)
    size = 6 * per_speaker
    true = np.arange(size) % len(classes)
    probabilities = generator.dirichlet(np.ones(len(classes)), size)
    probabilities[: size // 2][np.arange(size // 2), true[: size // 2]] += 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    speakers = [f"s{i % 6}" for i in range(size)]
    return report.Predictions(
        classes=classes,
        paths=[f"{speaker}/{i}.wav" for i, speaker in enumerate(speakers)],
        speakers=speakers,
        true=true,
        predicted=probabilities.argmax(axis=1),
        probabilities=probabilities.astype(np.float32),
        splits=["validation" if speaker > "s3" else "test" for speaker in speakers],
    )


def write_run(folder, classes=("angry", "calm", "sad"), epochs=5, **config):
    answers = predictions(list(classes))
    report.write_json(
        folder / "config.json", {"model": "rhemo", "dataset": "emodb", "split": "speaker"} | config
    )
    report.write_history(folder / "history.csv", history(epochs))
    report.write_predictions(folder / "predictions.csv", answers)
    seconds = {"data": 1.0, "compile": 2.0, "train": 90.0, "evaluate": 1.0, "total": 100.0}
    report.write_json(folder / "timing.json", seconds)
    report.write_json(
        folder / "metrics.json",
        report.measure(answers, resamples=50)
        | {"best_epoch": min(2, epochs), "parameters": 1234567},
    )
    return folder


def pixels(content):
    """Width and height, after checking the signature and every chunk's checksum."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        body = content[at + 4 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            body
        )
        at += 12 + length
    assert imread(io.BytesIO(content)).ndim == 3
    return struct.unpack(">II", content[16:24])


CLASSES = ["anger", "sadness"]


def run_folder(folder, right, losses, classes=CLASSES):
    """A run whose test utterances, half of each class, are right so often, of ten."""
    folder.mkdir(parents=True)
    true = np.repeat([0, 1], 5)
    predicted = np.where(np.arange(10) < right, true, 1 - true)
    probabilities = np.where(predicted[:, None] == [0, 1], 0.6, 0.4)
    predictions = report.Predictions(
        classes=classes,
        paths=[f"{i}.wav" for i in range(10)],
        speakers=[f"s{i % 2}" for i in range(10)],
        true=true,
        predicted=predicted,
        probabilities=probabilities,
    )
    report.write_predictions(folder / "predictions.csv", predictions)
    measured = {**report.measure(predictions, resamples=50), "parameters": 500_000}
    report.write_json(folder / "metrics.json", measured)
    report.write_json(folder / "timing.json", {"compile": 30.0, "train": 30.0, "total": 100.0})
    rows = []
    for epoch, loss in enumerate(losses, start=1):
        row = dict.fromkeys(report.HISTORY_COLUMNS, 0.5)
        rows.append({**row, "epoch": epoch, "train_loss": loss, "train_wa": 0.1 * epoch})
        rows[-1]["learning_rate"] = 0.01
    report.write_history(folder / "history.csv", rows)
    config = {"model": "dscnn", "dataset": "x", "split": "random"}
    report.write_json(folder / "config.json", config)
