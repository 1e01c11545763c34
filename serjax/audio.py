"""Audio files as mono waveforms: every format libsndfile reads, any rate, any channel count.

The corpora are read from many hands: re-packed, half-downloaded, cloned without large-file support.
So a file is either read whole and right, or refused with an `AudioError` that names it and why.
"""

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from serjax.errors import InputError

if TYPE_CHECKING:
    import soundfile

_LFS_POINTER = b"version https://git-lfs"

# Container magic -> byte order of its chunk sizes, and the name of the chunk with the samples.
_CHUNKED = {b"RIFF": ("<", b"data"), b"RIFX": (">", b"data"), b"FORM": (">", b"SSND")}

# Writers that cannot seek back (pipes) declare a size near 2 or 4 GiB: 0xFFFFFFFF (ffmpeg),
# 0x7FFFF000 (sox), 0x80000000 (arecord). Such a header promises nothing, so nothing is missing.
_STREAMING_BYTES = 0x7FFF_0000

# Above full scale by no more than this factor, samples are overshoot (of a lossy decoder, of
# resampling, of mastering) and are clipped, as a player would. Beyond, the scale is another one.
_OVERSHOOT = 2.0

# Annotations print times with three decimals or more: an end may lie this far past the recording.
_TIME_TOLERANCE_SECONDS = 1e-3


class AudioError(InputError):
    """A file that cannot be read as audio; the message is one line: the file, then the reason."""


def load(
    path: str | os.PathLike[str],
    sample_rate: int = 16_000,
    *,
    start: float | None = None,
    end: float | None = None,
) -> np.ndarray:
    """Reads a recording, or a part of one, as a mono waveform.

    Integer samples are divided by their full scale (int16 `k` becomes `k / 32768`), float samples
    are taken as they are, channels are averaged, and another rate is resampled (soxr, HQ). Values
    beyond [-1, 1] by up to a factor of 2 are overshoot and clipped; beyond that the file is
    refused, because its samples are on another scale (say, integers stored as floats).

    Args:
        path: the file.
        sample_rate: rate of the result, in Hz.
        start: where the part begins, in seconds; the beginning of the file when None. The file is
            read from there by seeking, so a part of a long recording costs what the part costs.
        end: where the part ends, in seconds; the end of the file when None. May exceed the duration
            by 1 ms, the rounding of printed annotations.

    Returns:
        float32 `[samples]` in [-1, 1], `round(seconds * sample_rate)` samples within one.

    Raises:
        AudioError: the file is missing, not a regular file, empty, a git-lfs pointer, not audio,
            has no samples, holds fewer samples than its header promises (WAV, AIFF, FLAC, MP3), or
            has NaN or infinite samples; or `start` and `end` do not mark a part of it.
        ValueError: `sample_rate` is not positive.
    """
    if sample_rate <= 0:
        raise ValueError(f"sample_rate must be positive, found {sample_rate}")
    path = Path(path)
    _check_container(path)
    samples, source_rate = _read(path, start, end)

    peak = float(np.max(np.abs(samples)))  # NaN and infinity survive the maximum
    if not np.isfinite(peak):
        frame = int(np.argmax(~np.isfinite(samples).all(axis=1)))
        value = samples[frame][~np.isfinite(samples[frame])][0]
        raise AudioError(f"{path}: sample {frame} is {value}, expected finite samples")
    if peak > _OVERSHOOT:
        raise AudioError(f"{path}: samples reach {peak:g}, expected [-1, 1]; rescale the file")

    waveform = samples.mean(axis=1)
    if source_rate != sample_rate:
        import soxr

        waveform = soxr.resample(waveform, source_rate, sample_rate, quality="HQ")
        if not waveform.size:
            raise AudioError(
                f"{path}: {len(samples)} samples at {source_rate} Hz are none at {sample_rate} Hz"
            )
    return np.clip(waveform, -1.0, 1.0)


def header(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Reads how a recording is stored: its sample rate in Hz, and its number of channels.

    Raises:
        AudioError: the file is missing, or is not audio.
    """
    _check_container(Path(path))
    with _open(Path(path)) as file:
        return file.samplerate, file.channels


def _check_container(path: Path) -> None:
    """Refuses what libsndfile would report obscurely, or read in part without a word."""
    try:
        if not path.exists():
            raise AudioError(f"{path}: no such file")
        if not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise AudioError(f"{path}: is {kind}, expected an audio file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise AudioError(f"{path}: is empty (0 bytes)")
            if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise AudioError(
                    f"{path}: is a git-lfs pointer, not audio; run `git lfs pull` in its clone"
                )
            promised, present = _sample_bytes(file, size)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if present < promised < _STREAMING_BYTES:
        raise AudioError(
            f"{path}: is truncated: its header promises {promised} bytes of samples, has {present}"
        )


def _sample_bytes(file: BinaryIO, size: int) -> tuple[int, int]:
    """Bytes of samples that a chunked container promises, and that follow; (0, 0) when unknown.

    libsndfile shortens a WAV or AIFF file whose samples end early to what is there. Chunks of any
    kind may come before the samples (RAVDESS has an `FLLR` chunk), so they are walked.
    """
    file.seek(0)
    magic = file.read(12)[:4]
    if magic not in _CHUNKED:
        return 0, 0
    order, sample_chunk = _CHUNKED[magic]
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack(f"{order}4sI", header)
        if name == sample_chunk:
            return length, size - file.tell()
        file.seek(length + length % 2, os.SEEK_CUR)  # chunks start at even offsets
    return 0, 0


def _open(path: Path) -> "soundfile.SoundFile":
    import soundfile

    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless .raw
        reason = getattr(error, "error_string", str(error))
        raise AudioError(f"{path}: is not audio that libsndfile reads ({_line(reason)})") from error


def _read(path: Path, start: float | None, end: float | None) -> tuple[np.ndarray, int]:
    """Samples `[frames, channels]` float32 between two times, and their rate."""
    import soundfile

    with _open(path) as file:
        if file.frames <= 0:
            raise AudioError(f"{path}: has no samples")
        first, last = _part(path, file, start, end)
        try:
            if first:
                file.seek(first)
            samples = file.read(last - first, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            reason = f"({_line(error.error_string)})"
            raise AudioError(f"{path}: is truncated or damaged {reason}") from error
        if len(samples) < last - first:
            raise AudioError(
                f"{path}: is truncated: its header promises {file.frames} samples, "
                f"has {first + len(samples)}"
            )
        return samples, file.samplerate


def _part(
    path: Path, file: "soundfile.SoundFile", start: float | None, end: float | None
) -> tuple[int, int]:
    """First frame and the frame after the last one of the part between two times, in seconds."""
    duration = file.frames / file.samplerate
    begin = 0.0 if start is None else start
    stop = duration if end is None else end
    if not 0 <= begin < stop <= duration + _TIME_TOLERANCE_SECONDS:  # refuses NaN as well
        raise AudioError(
            f"{path}: no part from {begin:g} s to {stop:g} s, the recording lasts {duration:g} s"
        )
    first, last = round(begin * file.samplerate), min(round(stop * file.samplerate), file.frames)
    if first >= last:
        raise AudioError(f"{path}: the part from {begin:g} s to {stop:g} s has no samples")
    return first, last


def _line(message: str) -> str:
    return " ".join(message.split())
