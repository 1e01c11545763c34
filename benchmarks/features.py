"""Features on the device: hours of audio per second, and fraction of the memory's bandwidth.

Utterances of 4 s at 16 kHz, 25 ms frames every 10 ms, 128 mel bands. The bandwidth is that of a
large copy. The bytes of a feature are those of its input and its result, each counted once; data
that fits into the caches may exceed the bandwidth. Baselines compute the same feature of the same
waveforms.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import baselines, device_peaks
from benchmarks.measure import quantity_columns, ratio_columns, time_interleaved
from benchmarks.programs import Program, compile_program, with_random_signs
from benchmarks.settings import Cases, DotPlot, Rows, Settings
from serjax import augment, features
from serjax.errors import InputError

TITLE = "Features of waveforms"
COLUMNS = {
    "feature": "feature",
    "batch": "batch",
    "form": "form",
    "ms": "ms",
    "hours_per_s": "hours of audio/s",
    "bandwidth_fraction": "% of bandwidth",
    "time_vs_serjax": "time / serjax",
}
FIGURE = DotPlot("hours_per_s", "hours of audio per second", ("feature", "batch"))

_SAMPLE_RATE, _SECONDS, _MEL_BINS = 16_000, 4, 128
_FRAMING: features.StftOptions = {"window_samples": 400, "hop_samples": 160, "fft_size": 400}
_BATCHES, _QUICK_BATCHES = (1, 16, 128, 1024), (1, 16, 64)

Function = Callable[[jax.Array], jax.Array]
# The array that a baseline reads, and a function without arguments that computes the feature.
Baseline = tuple[Any, Callable[[], Any]]


def _functions() -> dict[str, Function]:
    """Returns the functions of serjax, by feature."""
    log_mel = functools.partial(features.log_mel_spectrogram, mel_bins=_MEL_BINS, **_FRAMING)
    return {
        "STFT": functools.partial(features.stft, **_FRAMING),
        "log-mel": log_mel,
        "MFCC": functools.partial(features.mfcc, mel_bins=_MEL_BINS, top_db=None, **_FRAMING),
        "SpecAugment": functools.partial(augment.spec_augment, jax.random.key(0)),
    }


def _librosa(feature: str, waveforms: np.ndarray) -> Baseline:
    """Makes the baseline of librosa, which computes a batch in one call."""
    librosa = baselines.import_module("librosa", "librosa")
    options: dict[str, Any] = {"n_fft": 400, "hop_length": 160, "win_length": 400}
    if feature == "STFT":
        return waveforms, lambda: np.swapaxes(librosa.stft(waveforms, **options), -1, -2)

    def log_mel() -> Any:
        power = librosa.feature.melspectrogram(
            y=waveforms, sr=_SAMPLE_RATE, n_mels=_MEL_BINS, **options
        )
        return librosa.power_to_db(power, top_db=None)

    if feature == "log-mel":
        return waveforms, lambda: np.swapaxes(log_mel(), -1, -2)
    return waveforms, lambda: np.swapaxes(librosa.feature.mfcc(S=log_mel(), n_mfcc=20), -1, -2)


def _torch(feature: str, waveforms: np.ndarray) -> Baseline:
    """Makes the baseline of PyTorch's Fourier transform and products, by librosa's definitions."""
    torch, device = baselines.import_torch(), baselines.torch_device()
    x = torch.from_numpy(waveforms).to(device)
    window = torch.hann_window(400, device=device)
    filters = torch.from_numpy(
        np.asarray(features.mel_filterbank(_SAMPLE_RATE, 400, _MEL_BINS), np.float32)
    ).to(device)
    position = torch.arange(_MEL_BINS, dtype=torch.float64)[:, None] + 0.5
    basis = np.sqrt(2 / _MEL_BINS) * torch.cos(np.pi / _MEL_BINS * position * torch.arange(20))
    basis[:, 0] = np.sqrt(1 / _MEL_BINS)
    basis = basis.float().to(device)

    def call() -> Any:
        spectrum = torch.stft(
            x, 400, 160, 400, window, center=True, pad_mode="constant", return_complex=True
        ).transpose(-1, -2)
        if feature == "STFT":
            return spectrum
        power = spectrum.real.square() + spectrum.imag.square()
        level_db = 10 * torch.log10(torch.clamp(power @ filters, min=1e-10))
        return level_db if feature == "log-mel" else level_db @ basis

    return x, call


def _torchaudio(feature: str, waveforms: np.ndarray) -> Baseline:
    """Makes the baseline of torchaudio's transforms, with librosa's conventions."""
    torch, torchaudio = (
        baselines.import_torch(),
        baselines.import_module("torchaudio", "torchaudio"),
    )
    device = baselines.torch_device()
    x = torch.from_numpy(waveforms).to(device)
    options = {"n_fft": 400, "hop_length": 160, "pad_mode": "constant"}
    if feature == "STFT":
        transform = torchaudio.transforms.Spectrogram(power=None, **options).to(device)
        return x, lambda: transform(x).transpose(-1, -2)
    mel = {**options, "n_mels": _MEL_BINS, "norm": "slaney", "mel_scale": "slaney"}
    transform = torchaudio.transforms.MelSpectrogram(_SAMPLE_RATE, **mel).to(device)
    to_db = torchaudio.transforms.AmplitudeToDB("power").to(device)
    dct = torchaudio.functional.create_dct(20, _MEL_BINS, "ortho").to(device)

    def call() -> Any:
        level_db = to_db(transform(x)).transpose(-1, -2)
        return level_db if feature == "log-mel" else level_db @ dct

    return x, call


_BASELINES = {"librosa": _librosa, "PyTorch": _torch, "torchaudio": _torchaudio}


def _baseline_programs(feature: str, waveforms: np.ndarray, expected: Any) -> dict[str, Program]:
    """Makes the programs of the available baselines whose results are those of serjax."""
    programs: dict[str, Program] = {}
    for name, make in _BASELINES.items():
        with baselines.skip_unavailable():
            x, call = make(feature, waveforms.copy())
            result = call()
            result = result if isinstance(result, np.ndarray) else result.cpu().numpy()
            reference = np.asarray(expected)
            if np.iscomplexobj(reference):
                result, reference = (
                    np.stack([values.real, values.imag]) for values in (result, reference)
                )
            baselines.check_agreement(f"{name}, {feature}", result, reference, 1e-3)
            if name == "librosa":
                programs[name] = _numpy_program(x, call)
            else:
                programs[name] = baselines.torch_program(call, x)
    return programs


def _numpy_program(x: np.ndarray, call: Callable[[], Any]) -> Program:
    """Makes a program of a NumPy function that reads `x`, whose signs are randomized per round."""

    def randomize_input(index: int) -> tuple[()]:
        x[:] *= np.random.default_rng(index).choice(np.array([-1, 1], x.dtype), x.shape)
        return ()

    return Program(call, (), None, None, None, 0.0, randomize_input)


def _measure(settings: Settings, feature: str, batch: int) -> Rows:
    rng = np.random.default_rng(0)
    waveforms = rng.normal(0, 0.1, (batch, _SECONDS * _SAMPLE_RATE)).astype(np.float32)
    functions = _functions()
    x = jnp.asarray(waveforms)
    if feature == "SpecAugment":
        x = jax.jit(functions["log-mel"])(x)
    bandwidth = device_peaks.measured().copy
    programs = {"serjax": with_random_signs(compile_program(functions[feature], x))}
    result = programs["serjax"].call(x)
    nbytes = x.nbytes + result.nbytes
    if settings.baselines and feature != "SpecAugment":
        programs |= _baseline_programs(feature, waveforms, result)
    seconds = time_interleaved(programs, settings.rounds)
    audio_hours = batch * _SECONDS / 3600
    return [
        {
            "feature": feature,
            "batch": batch,
            "form": form,
            **quantity_columns("ms", 1e3 * durations),
            **quantity_columns("hours_per_s", audio_hours / durations),
            **quantity_columns("bandwidth_fraction", nbytes / durations / bandwidth),
            **ratio_columns("time_vs_serjax", durations / seconds["serjax"]),
            "compile_s": programs[form].compile_seconds,
        }
        for form, durations in seconds.items()
    ]


def cases(settings: Settings) -> Cases:
    """Returns a case for each feature and batch size.

    Raises:
        InputError: A precision other than float32, the only one of the features.
    """
    if settings.dtype != "float32":
        raise InputError(f"--suite features: expected --dtype float32, found {settings.dtype}")
    batches = _QUICK_BATCHES if settings.quick else _BATCHES
    return {
        f"{feature}, {batch}": functools.partial(_measure, settings, feature, batch)
        for feature in _functions()
        for batch in batches
    }
