"""Sound files for the tests of their reading."""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serjax import audio


def sine(samples: int, sample_rate: int, hz: float = 1000.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / sample_rate)).astype(np.float32)


def wav_bytes(samples: np.ndarray, *, data_bytes: int | None = None, before: bytes = b"") -> bytes:
    """Builds a 16 kHz mono int16 WAV file by hand, with chunks before its samples."""
    data = samples.astype("<i2").tobytes()
    head = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16) + before
    body = b"WAVE" + head + b"data"
    body += struct.pack("<I", len(data) if data_bytes is None else data_bytes) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def encode(path: Path, samples: np.ndarray, sample_rate: int, *options: str) -> Path:
    """Encodes a file with ffmpeg in the format of its suffix, or skips the test."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg, which decodes m4a, aac and wma: https://ffmpeg.org")
    source = path.with_name("source.wav")
    soundfile.write(source, samples, sample_rate)
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), *options, str(path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"this ffmpeg does not write {path.suffix}")
    return path


def reason(path: Path, **segment: float) -> str:
    """Returns why `load` refuses a file, after a check that the message is one line."""
    with pytest.raises(audio.AudioError) as caught:
        audio.load(path, **segment)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")
