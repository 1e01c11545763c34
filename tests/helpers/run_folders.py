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
        parts=["validation" if speaker > "s3" else "test" for speaker in speakers],
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
