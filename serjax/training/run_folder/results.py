"""The files that a run leaves behind, made from its predictions."""

import dataclasses
import io
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from rich.console import Console

from serjax import features, report
from serjax.training.trackers.progress import Clock

if TYPE_CHECKING:
    from serjax.training.input.dataset import RunDataset

# Pictures for people: 25 ms windows every 5 ms resolve syllables and most voices' harmonics.
_WINDOW_SAMPLES, _HOP_SAMPLES, _FFT_SIZE = 400, 80, 512


def predict_parts(
    probabilities: Callable[[np.ndarray], np.ndarray], task: "RunDataset"
) -> report.Predictions:
    """Predictions of the validation and the test part.

    Args:
        probabilities: Ascending indices of utterances `[n]` -> `[n, classes]`.
        task: What the parts are of.
    """
    rows = np.concatenate([task.split.validation, task.split.test])
    parts = ["validation"] * len(task.split.validation) + ["test"] * len(task.split.test)
    found = np.concatenate(
        [probabilities(part) for part in (task.split.validation, task.split.test)]
    )
    utterances = [task.corpus.utterances[i] for i in rows]
    return report.Predictions(
        classes=task.classes,
        paths=[u.path for u in utterances],
        speakers=[u.speaker or "" for u in utterances],
        true=task.labels[rows],
        predicted=found.argmax(-1),
        probabilities=found,
        splits=parts,
    )


def write_results(
    folder: Path,
    predictions: report.Predictions,
    about: Mapping[str, Any],
    task: "RunDataset",
    clock: Clock,
    console: Console,
) -> None:
    """Writes `predictions.csv`, `metrics.json`, `timing.json`, figures and page; prints them.

    The metrics hold no times, so that equal runs leave equal files.

    Args:
        folder: The run's.
        predictions: Of its parts.
        about: What else `metrics.json` holds.
        task: What was run.
        clock: Where the time went.
        console: Where to print.
    """
    with console.status("writing the report"), clock.timed("report"):
        report.write_predictions(folder / "predictions.csv", predictions)
        metrics = {**report.measure(predictions), **about}
        report.write_json(folder / "metrics.json", metrics)
        report.write_json(folder / "timing.json", clock.seconds)  # the page shows them
        hardest = _hardest_with_sound(predictions, task)
        page = report.write_page(folder, hardest=hardest)
    seconds = clock.stopped()
    report.write_json(folder / "timing.json", seconds)
    report.print_summary(console, metrics)
    spent = "  ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    console.print(f"{spent}\nreport {page}", highlight=False, soft_wrap=True)


def _hardest_with_sound(
    predictions: report.Predictions, task: "RunDataset"
) -> list[report.HardUtterance]:
    """The hardest utterances of the test part, with spectrogram and sound."""
    sample_rate = task.sample_rate
    hardest = report.hardest_utterances(predictions)
    place = {utterance.path: i for i, utterance in enumerate(task.corpus.utterances)}
    waveforms = [task.waveform(place[utterance.path]) for utterance in hardest]
    return [
        dataclasses.replace(
            utterance,
            spectrogram=spectrogram,
            seconds=len(waveform) / sample_rate,
            max_hz=sample_rate / 2,
            audio_wav=_wav(waveform, sample_rate),
        )
        for utterance, waveform, spectrogram in zip(
            hardest, waveforms, _spectrograms(waveforms), strict=True
        )
    ]


def _spectrograms(waveforms: list[np.ndarray]) -> list[np.ndarray]:
    """Log power `[frames, bins]` in dB of each 16-bit waveform, all in one compiled program."""
    lengths = np.array([len(waveform) for waveform in waveforms], np.int32)
    padded = np.zeros((len(waveforms), lengths.max(initial=1)), np.float32)
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = waveform.astype(np.float32) / 32768

    @jax.jit
    def log_power(padded: jax.Array, lengths: jax.Array) -> jax.Array:
        power = features.magnitude_spectrogram(
            padded,
            lengths=lengths,
            power=2.0,
            window_samples=_WINDOW_SAMPLES,
            hop_samples=_HOP_SAMPLES,
            fft_size=_FFT_SIZE,
        )
        return features.log_power(power, top_db=80.0)

    pictures = np.asarray(log_power(padded, lengths))
    return [
        picture[: features.frame_count(len(waveform), _HOP_SAMPLES, fft_size=_FFT_SIZE)]
        for picture, waveform in zip(pictures, waveforms, strict=True)
    ]


def _wav(waveform: np.ndarray, sample_rate: int) -> bytes:
    """A mono 16-bit WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(waveform.astype("<i2").tobytes())
    return file.getvalue()
