"""Audio files as mono waveforms, at any sample rate and with any number of channels.

libsndfile reads most formats; librosa decodes the others (m4a, aac, wma) through ffmpeg.

Corpora pass through many hands: they are re-packed, half downloaded, or cloned without large-file
support. So a file is either read completely and correctly, or refused with an `AudioError` that
names the file and the reason.
"""

import os
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from jaxtyping import Float32

from serjax.errors import InputError

if TYPE_CHECKING:
    import audioread
    import soundfile

FFMPEG_SUFFIXES = (".3gp", ".aac", ".ac3", ".amr", ".m4a", ".m4b", ".mka", ".mp4", ".webm", ".wma")
"""Suffixes of the formats that libsndfile cannot read and ffmpeg can, in lower case."""

_LFS_POINTER = b"version https://git-lfs"

# Container magic -> byte order of its chunk sizes, and the name of the chunk with the samples.
_CHUNKED = {b"RIFF": ("<", b"data"), b"RIFX": (">", b"data"), b"FORM": (">", b"SSND")}

# Writers that cannot seek back (pipes) declare a size near 2 or 4 GiB: 0xFFFFFFFF (ffmpeg),
# 0x7FFFF000 (sox), 0x80000000 (arecord). These sizes are placeholders, not promises.
_STREAMING_BYTES = 0x7FFF_0000

# Samples above full scale by at most this factor are overshoot (from a lossy decoder, resampling or
# mastering) and are clipped, as a player clips them. Larger samples are on another scale.
_OVERSHOOT = 2.0

# Annotations print times with three decimals or more: an end may lie this far past the recording.
_TIME_TOLERANCE_SECONDS = 1e-3

# ffmpeg prints a duration in hundredths of a second, audioread keeps the tenths, and the encoder's
# last packet may be padded or cut.
_DURATION_TOLERANCE_SECONDS = 0.2


class AudioError(InputError):
    """Error for a file that cannot be read as audio.

    The message is one line: the file, then the reason.
    """


def load(
    path: str | os.PathLike[str],
    sample_rate: int = 16_000,
    *,
    start: float | None = None,
    end: float | None = None,
) -> Float32[np.ndarray, " samples"]:
    """Loads a recording, or a segment of it, as a mono waveform.

    Integer samples are divided by their full scale (int16 `k` becomes `k / 32768`), float samples
    are not scaled, channels are averaged, and other sample rates are resampled (soxr, HQ). Values
    beyond [-1, 1] by up to a factor of 2 are overshoot and are clipped. Larger values are refused,
    because the samples are on another scale (for example, integers stored as floats).

    Formats that libsndfile cannot read (`FFMPEG_SUFFIXES`) are decoded to 16 bits by librosa, which
    needs ffmpeg or another decoder that audioread supports.

    Args:
        path: Path of the audio file.
        sample_rate: Sample rate of the waveform, in Hz.
        start: Beginning of the segment, in seconds; None: the beginning of the file. libsndfile
            seeks, so reading a segment of a long recording costs only the segment. ffmpeg decodes
            the complete file.
        end: End of the segment, in seconds; None: the end of the file. The end may exceed the
            duration by 1 ms, the rounding of printed annotations.

    Returns:
        float32 waveform `[samples]` in [-1, 1] with `round(seconds * sample_rate)` samples, plus or
        minus one.

    Raises:
        AudioError: The file is missing, not a regular file, empty, a git-lfs pointer, not audio, or
            in a format for which no decoder is installed; it has no samples, NaN or infinite
            samples, or fewer samples than its header promises (WAV, AIFF, FLAC, MP3, MP4, WMA); or
            `start` and `end` do not mark a segment of it.
        ValueError: `sample_rate` is not positive.

    Example:
        >>> import numpy as np, soundfile, tempfile
        >>> path = tempfile.mkdtemp() + "/recording.wav"
        >>> soundfile.write(path, np.zeros((44_100, 2)), 44_100)
        >>> load(path, start=0.5).shape
        (8000,)
    """
    if sample_rate <= 0:
        raise ValueError(f"sample_rate must be positive, found {sample_rate}")
    path = Path(path)
    _check_container(path)
    if _needs_ffmpeg(path):
        samples, source_rate = _decode(path, start, end)
    else:
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
    """Reads the format of a recording.

    Args:
        path: Path of the audio file.

    Returns:
        Sample rate in Hz, and number of channels.

    Raises:
        AudioError: The file is missing, not audio, or in a format for which no decoder is
            installed.
    """
    path = Path(path)
    _check_container(path)
    if _needs_ffmpeg(path):
        with _open_decoder(path) as decoder:
            return decoder.samplerate, decoder.channels
    with _open(path) as file:
        return file.samplerate, file.channels


def _check_container(path: Path) -> None:
    """Refuses files for which libsndfile has an obscure message, or which it silently shortens."""
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
    """Reads how many bytes of samples a chunked container promises, and how many it holds.

    libsndfile silently shortens a WAV or AIFF file whose samples end early. Other chunks may
    precede the samples (RAVDESS has an `FLLR` chunk), so all chunks are walked.

    Returns:
        Bytes promised and bytes present; (0, 0) when unknown.
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


def _needs_ffmpeg(path: Path) -> bool:
    """Checks whether a file's suffix and content are of a format that libsndfile cannot read."""
    import soundfile

    if path.suffix.lower() not in FFMPEG_SUFFIXES:
        return False
    try:
        soundfile.SoundFile(path).close()
    except (soundfile.LibsndfileError, TypeError):
        return True
    return False  # a file of another format under this name


def _open(path: Path) -> "soundfile.SoundFile":
    """Opens a file with libsndfile, or raises an AudioError."""
    import soundfile

    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless .raw
        reason = getattr(error, "error_string", str(error))
        message = f"is not audio that libsndfile reads ({_one_line(reason)})"
        raise AudioError(f"{path}: {message}") from error


def _open_decoder(path: Path) -> "audioread.AudioFile":
    """Opens a file with the first decoder of audioread that reads it, or raises an AudioError."""
    import audioread

    try:
        # An absolute path: ffmpeg takes a name such as "http:..." for a protocol.
        decoder = audioread.audio_open(os.fspath(path.absolute()))
    except audioread.NoBackendError as error:
        # One backend, for WAV and AIFF, is always there.
        if len(audioread.available_backends()) == 1:
            raise AudioError(
                f"{path}: expected a decoder of {path.suffix.lower()} files on this machine, found "
                "none; install ffmpeg (https://ffmpeg.org), or convert the file to WAV or FLAC"
            ) from error
        raise AudioError(f"{path}: is not audio that libsndfile or ffmpeg reads") from error
    if decoder.samplerate <= 0 or decoder.channels <= 0:
        decoder.close()
        raise AudioError(f"{path}: ffmpeg reports no sample rate or no channels")
    return decoder


def _decode(
    path: Path, start: float | None, end: float | None
) -> tuple[Float32[np.ndarray, "frames channels"], int]:
    """Decodes the samples between two times with librosa, and returns them with their rate."""
    import audioread
    import librosa

    # librosa warns that version 1.0 will drop audioread; pyproject.toml requires an earlier one. A
    # filter, because `catch_warnings` is not safe where several threads read recordings.
    warnings.filterwarnings("ignore", r"librosa\.core\.audio\.__audioread_load", FutureWarning)
    decoder = _open_decoder(path)
    duration = float(decoder.duration)
    try:
        channels, sample_rate = librosa.load(decoder, sr=None, mono=False)
    except audioread.DecodeError as error:
        raise AudioError(f"{path}: is truncated or damaged ({_one_line(str(error))})") from error
    samples = np.atleast_2d(channels).T
    if not len(samples):
        raise AudioError(f"{path}: has no samples")
    # An AAC stream has no header: its duration is ffmpeg's guess from the bit rate.
    promises_duration = path.suffix.lower() != ".aac"
    seconds = len(samples) / sample_rate
    if promises_duration and seconds < duration - _DURATION_TOLERANCE_SECONDS:
        raise AudioError(
            f"{path}: is truncated: its header promises {duration:g} s, has {seconds:g} s"
        )
    first, last = _segment(path, len(samples), int(sample_rate), start, end)
    return samples[first:last], int(sample_rate)


def _read(
    path: Path, start: float | None, end: float | None
) -> tuple[Float32[np.ndarray, "frames channels"], int]:
    """Reads the samples between two times with libsndfile, and returns them with their rate."""
    import soundfile

    with _open(path) as file:
        if file.frames <= 0:
            raise AudioError(f"{path}: has no samples")
        first, last = _segment(path, file.frames, file.samplerate, start, end)
        try:
            if first:
                file.seek(first)
            samples = file.read(last - first, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            reason = f"({_one_line(error.error_string)})"
            raise AudioError(f"{path}: is truncated or damaged {reason}") from error
        if len(samples) < last - first:
            raise AudioError(
                f"{path}: is truncated: its header promises {file.frames} samples, "
                f"has {first + len(samples)}"
            )
        return samples, file.samplerate


def _segment(
    path: Path, frames: int, sample_rate: int, start: float | None, end: float | None
) -> tuple[int, int]:
    """Converts times in seconds to the segment's first frame and the frame after its last one."""
    duration = frames / sample_rate
    begin = 0.0 if start is None else start
    stop = duration if end is None else end
    if not 0 <= begin < stop <= duration + _TIME_TOLERANCE_SECONDS:  # refuses NaN as well
        raise AudioError(
            f"{path}: no segment from {begin:g} s to {stop:g} s, the recording lasts {duration:g} s"
        )
    first, last = round(begin * sample_rate), min(round(stop * sample_rate), frames)
    if first >= last:
        raise AudioError(f"{path}: the segment from {begin:g} s to {stop:g} s has no samples")
    return first, last


def _one_line(message: str) -> str:
    """Joins the lines of a message."""
    return " ".join(message.split())
