"""Result files of a run, made from its predictions."""

import dataclasses
import io
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from serjax import features, report
from serjax.console import Console
from serjax.training.optimization.divergence import check_finite
from serjax.training.trackers.progress import Clock

if TYPE_CHECKING:
    from serjax.training.input.dataset import RunDataset

# Spectrograms for readers: 25 ms windows every 5 ms resolve syllables and the harmonics of most
# voices.
_WINDOW_SAMPLES, _HOP_SAMPLES, _FFT_SIZE = 400, 80, 512


def predict_splits(
    probabilities: Callable[[np.ndarray], np.ndarray], dataset: "RunDataset"
) -> report.Predictions:
    """Predicts the utterances of the validation and the test set.

    Args:
        probabilities: Function from ascending indices of utterances `[n]` to probabilities
            `[n, classes]`.
        dataset: Dataset of the run.

    Raises:
        DivergedError: A probability is not finite.
    """
    split = dataset.split
    rows = np.concatenate([split.validation, split.test])
    names = ["validation"] * len(split.validation) + ["test"] * len(split.test)
    predicted = np.concatenate([probabilities(split.validation), probabilities(split.test)])
    check_finite(predicted, "the predictions")
    utterances = [dataset.corpus.utterances[i] for i in rows]
    return report.Predictions(
        classes=dataset.classes,
        paths=[u.path for u in utterances],
        speakers=[u.speaker or "" for u in utterances],
        true=dataset.labels[rows],
        predicted=predicted.argmax(-1),
        probabilities=predicted,
        splits=names,
        times=[(u.identity.start, u.identity.end) for u in utterances],
    )


def write_results(
    folder: Path,
    predictions: report.Predictions,
    details: Mapping[str, Any],
    dataset: "RunDataset",
    clock: Clock,
    console: Console,
) -> None:
    """Writes and prints the results of a run.

    It writes `predictions.csv`, `metrics.json`, `timing.json`, figures and `report.html`. The
    metrics hold no times, so that equal runs write equal files.

    Args:
        folder: Run folder.
        predictions: Predictions of the validation and the test set.
        details: Further content of `metrics.json`.
        dataset: Dataset of the run.
        clock: Clock of the run.
        console: Console to print on.
    """
    console = Console.of(console)
    with console.status("writing the report"), clock.timed("report"):
        report.write_predictions(folder / "predictions.csv", predictions)
        metrics = {**report.measure(predictions), **details}
        report.write_json(folder / "metrics.json", metrics)
        report.write_json(folder / "timing.json", clock.read())  # the page shows them
        hardest = _hardest_with_sound(predictions, dataset)
        page = report.write_page(folder, hardest=hardest)
    seconds = clock.read()
    report.write_json(folder / "timing.json", seconds)
    report.print_summary(console, metrics)
    if note := report.font_note(predictions.classes):
        console.print(f"note: {note}")
    times = "  ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    console.print(times)
    console.print(f"report {page}")


def _hardest_with_sound(
    predictions: report.Predictions, dataset: "RunDataset"
) -> list[report.HardUtterance]:
    """Returns the hardest utterances of the test set, with spectrogram and sound."""
    sample_rate = dataset.sample_rate
    hardest = report.hardest_utterances(predictions)
    index = {utterance.identity: i for i, utterance in enumerate(dataset.corpus.utterances)}
    waveforms = [dataset.waveform(index[hard.utterance]) for hard in hardest]
    return [
        dataclasses.replace(
            hard,
            spectrogram=spectrogram,
            seconds=len(waveform) / sample_rate,
            max_hz=sample_rate / 2,
            audio_wav=_wav(waveform, sample_rate) if dataset.embeds_audio else None,
        )
        for hard, waveform, spectrogram in zip(
            hardest, waveforms, _spectrograms(waveforms), strict=True
        )
    ]


def _spectrograms(waveforms: list[np.ndarray]) -> list[np.ndarray]:
    """Computes the power `[frames, bins]` in dB of 16-bit waveforms, in one compiled program."""
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

    spectrograms = np.asarray(log_power(padded, lengths))
    return [
        spectrogram[: features.frame_count(len(waveform), _HOP_SAMPLES, fft_size=_FFT_SIZE)]
        for spectrogram, waveform in zip(spectrograms, waveforms, strict=True)
    ]


def _wav(waveform: np.ndarray, sample_rate: int) -> bytes:
    """Encodes a waveform as a mono 16-bit WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(waveform.astype("<i2").tobytes())
    return file.getvalue()
