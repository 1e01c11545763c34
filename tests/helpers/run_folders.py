"""Run folders with random predictions, and the sizes of their figures."""

import io
import struct
import zlib

import numpy as np
from matplotlib.image import imread

from serjax import report


def config(model="rhemo", dataset="emodb", split="speaker", **metadata):
    """Makes the content of a `config.json`, with the groups and metadata that the report reads."""
    return {
        "seed": 0,
        "data": {"dataset": dataset, "split": split, "fold": None, "test_dataset": None},
        "model": {"name": model},
        "auxiliary_losses": [],
    } | metadata


def history(epochs, auxiliary_losses=()):
    """Makes a history with different values at each epoch."""
    columns = [*report.HISTORY_COLUMNS, *(f"train_{name}" for name in auxiliary_losses)]
    return [
        {name: epoch if name == "epoch" else 1 / 3 + epoch / 7e3 for name in columns}
        for epoch in range(1, epochs + 1)
    ]


def predictions(classes, per_speaker=12, seed=0):
    """Makes random predictions for four test and two validation speakers, half of them correct."""
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


def write_run(
    folder,
    classes=("angry", "calm", "sad"),
    epochs=5,
    model="rhemo",
    auxiliary_losses=(),
    **metadata,
):
    """Writes a run folder with random predictions."""
    random_predictions = predictions(list(classes))
    report.write_json(folder / "config.json", config(model, **metadata))
    report.write_history(folder / "history.csv", history(epochs, auxiliary_losses))
    report.write_predictions(folder / "predictions.csv", random_predictions)
    seconds = {"data": 1.0, "compile": 2.0, "train": 90.0, "evaluate": 1.0, "total": 100.0}
    report.write_json(folder / "timing.json", seconds)
    report.write_json(
        folder / "metrics.json",
        report.measure(random_predictions, resamples=50)
        | {"best_epoch": min(2, epochs), "parameters": 1234567},
    )
    return folder


def pixels(content):
    """Returns the width and height of a PNG, after checking its signature and checksums."""
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


def run_folder(folder, correct, losses, classes=CLASSES):
    """Writes a run folder with `correct` of ten test utterances, five of each class, correct."""
    folder.mkdir(parents=True)
    true = np.repeat([0, 1], 5)
    predicted = np.where(np.arange(10) < correct, true, 1 - true)
    probabilities = np.where(predicted[:, None] == [0, 1], 0.6, 0.4)
    test = report.Predictions(
        classes=classes,
        paths=[f"{i}.wav" for i in range(10)],
        speakers=[f"s{i % 2}" for i in range(10)],
        true=true,
        predicted=predicted,
        probabilities=probabilities,
    )
    report.write_predictions(folder / "predictions.csv", test)
    measured = {**report.measure(test, resamples=50), "parameters": 500_000}
    report.write_json(folder / "metrics.json", measured)
    report.write_json(folder / "timing.json", {"compile": 30.0, "train": 30.0, "total": 100.0})
    rows = []
    for epoch, loss in enumerate(losses, start=1):
        row = dict.fromkeys(report.HISTORY_COLUMNS, 0.5)
        rows.append({**row, "epoch": epoch, "train_loss": loss, "train_wa": 0.1 * epoch})
        rows[-1]["learning_rate"] = 0.01
    report.write_history(folder / "history.csv", rows)
    report.write_json(folder / "config.json", config("dscnn", "x", "random"))
