"""Features on the device: hours of audio per second, and the share of the memory's bandwidth.

Utterances of 4 s at 16 kHz, 25 ms frames every 10 ms, 128 mel bands. A feature's share of the
bandwidth, that of a large copy, counts what it must read and write, its input and its result, once
each; what fits into the caches may exceed it. Peers compute the same feature of the same waveforms.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import baselines, device_peaks
from benchmarks.measure import Program, comparison, compile_program, renewed, summary, time_together
from benchmarks.settings import Cases, Figure, Rows, Settings
from serjax import augment, features
from serjax.errors import InputError

TITLE = "Features of waveforms"
COLUMNS = {
    "feature": "feature",
    "batch": "batch",
    "form": "form",
    "ms": "ms",
    "hours_per_s": "hours of audio/s",
    "of_bandwidth": "% of bandwidth",
    "of_serjax": "time of serjax",
}
FIGURE = Figure("hours_per_s", "hours of audio per second", ("feature", "batch"))

_RATE, _SECONDS, _MEL_BINS = 16_000, 4, 128
_FRAMING: features.StftOptions = {"window_samples": 400, "hop_samples": 160, "fft_size": 400}
_BATCHES, _QUICK_BATCHES = (1, 16, 128, 1024), (1, 16, 64)

Function = Callable[[jax.Array], jax.Array]
# What it reads, an array of its own, and the function.
Peer = tuple[Any, Callable[[], Any]]


def _functions() -> dict[str, Function]:
    log_mel = functools.partial(features.log_mel_spectrogram, mel_bins=_MEL_BINS, **_FRAMING)
    return {
        "STFT": functools.partial(features.stft, **_FRAMING),
        "log-mel": log_mel,
        "MFCC": functools.partial(features.mfcc, mel_bins=_MEL_BINS, top_db=None, **_FRAMING),
        "SpecAugment": functools.partial(augment.spec_augment, jax.random.key(0)),
    }


def _librosa(feature: str, waveforms: np.ndarray) -> Peer:
    """librosa, which takes a batch at once."""
    librosa = baselines.module("librosa", "librosa")
    options: dict[str, Any] = {"n_fft": 400, "hop_length": 160, "win_length": 400}
    if feature == "STFT":
        return waveforms, lambda: np.swapaxes(librosa.stft(waveforms, **options), -1, -2)

    def log_mel() -> Any:
        power = librosa.feature.melspectrogram(y=waveforms, sr=_RATE, n_mels=_MEL_BINS, **options)
        return librosa.power_to_db(power, top_db=None)

    if feature == "log-mel":
        return waveforms, lambda: np.swapaxes(log_mel(), -1, -2)
    return waveforms, lambda: np.swapaxes(librosa.feature.mfcc(S=log_mel(), n_mfcc=20), -1, -2)


def _torch(feature: str, waveforms: np.ndarray) -> Peer:
    """PyTorch's own Fourier transform and matrix products, by librosa's definitions."""
    torch = baselines.torch()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.from_numpy(waveforms).to(device)
    window = torch.hann_window(400, device=device)
    filters = torch.from_numpy(
        np.asarray(features.mel_filterbank(_RATE, 400, _MEL_BINS), np.float32)
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
        level = 10 * torch.log10(torch.clamp(power @ filters, min=1e-10))
        return level if feature == "log-mel" else level @ basis

    return x, call


def _torchaudio(feature: str, waveforms: np.ndarray) -> Peer:
    """Transforms of torchaudio with librosa's conventions."""
    torch, torchaudio = baselines.torch(), baselines.module("torchaudio", "torchaudio")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.from_numpy(waveforms).to(device)
    options = {"n_fft": 400, "hop_length": 160, "pad_mode": "constant"}
    if feature == "STFT":
        transform = torchaudio.transforms.Spectrogram(power=None, **options).to(device)
        return x, lambda: transform(x).transpose(-1, -2)
    mel = {**options, "n_mels": _MEL_BINS, "norm": "slaney", "mel_scale": "slaney"}
    transform = torchaudio.transforms.MelSpectrogram(_RATE, **mel).to(device)
    to_db = torchaudio.transforms.AmplitudeToDB("power").to(device)
    dct = torchaudio.functional.create_dct(20, _MEL_BINS, "ortho").to(device)

    def call() -> Any:
        level = to_db(transform(x)).transpose(-1, -2)
        return level if feature == "log-mel" else level @ dct

    return x, call


_PEERS = {"librosa": _librosa, "PyTorch": _torch, "torchaudio": _torchaudio}


def _peers(feature: str, waveforms: np.ndarray, expected: Any) -> dict[str, Program]:
    found: dict[str, Program] = {}
    for name, make in _PEERS.items():
        with baselines.skipped():
            x, call = make(feature, waveforms.copy())
            result = call()
            result = result if isinstance(result, np.ndarray) else result.cpu().numpy()
            ours = np.asarray(expected)
            if np.iscomplexobj(ours):
                result, ours = (
                    np.stack([result.real, result.imag]),
                    np.stack([ours.real, ours.imag]),
                )
            baselines.check_same(f"{name}, {feature}", result, ours, 1e-3)
            found[name] = _on_host(x, call) if name == "librosa" else baselines.program(call, x)
    return found


def _on_host(x: np.ndarray, call: Callable[[], Any]) -> Program:
    def renew(number: int) -> tuple[()]:
        x[:] *= np.random.default_rng(number).choice(np.array([-1, 1], x.dtype), x.shape)
        return ()

    return Program(call, (), None, None, None, 0.0, renew)


def _measured(settings: Settings, feature: str, batch: int) -> Rows:
    rng = np.random.default_rng(0)
    waveforms = rng.normal(0, 0.1, (batch, _SECONDS * _RATE)).astype(np.float32)
    functions = _functions()
    x = jnp.asarray(waveforms)
    if feature == "SpecAugment":
        x = jax.jit(functions["log-mel"])(x)
    bandwidth = device_peaks.measured().copy
    programs = {"serjax": renewed(compile_program(functions[feature], x))}
    result = programs["serjax"].call(x)
    moved = x.nbytes + result.nbytes
    if settings.peers and feature != "SpecAugment":
        programs |= _peers(feature, waveforms, result)
    seconds = time_together(programs, settings.rounds)
    hours = batch * _SECONDS / 3600
    return [
        {
            "feature": feature,
            "batch": batch,
            "form": form,
            **summary("ms", 1e3 * waited),
            **summary("hours_per_s", hours / waited),
            **summary("of_bandwidth", moved / waited / bandwidth),
            **comparison("of_serjax", waited / seconds["serjax"]),
            "compile_s": programs[form].compile_seconds,
        }
        for form, waited in seconds.items()
    ]


def cases(settings: Settings) -> Cases:
    """Each feature at each batch.

    Raises:
        InputError: A precision other than float32, the only one of the features.
    """
    if settings.dtype != "float32":
        raise InputError(f"--suite features: expected --dtype float32, found {settings.dtype}")
    batches = _QUICK_BATCHES if settings.quick else _BATCHES
    return {
        f"{feature}, {batch}": functools.partial(_measured, settings, feature, batch)
        for feature in _functions()
        for batch in batches
    }
