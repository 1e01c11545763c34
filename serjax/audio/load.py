"""Loading of a recording as a mono waveform."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from serjax.audio import ffmpeg, libsndfile
from serjax.audio.containers import check_file
from serjax.audio.errors import AudioError, DamageError
from serjax.audio.formats import MAX_RATE, MIN_RATE
from serjax.audio.stream import Stream

# Samples above full scale by at most this factor are overshoot (from a lossy decoder, resampling or
# mastering) and are clipped, as a player clips them. Larger samples are on another scale.
_OVERSHOOT = 2.0

# Annotations print times with three decimals or more: an end may lie this far past the recording.
_TIME_TOLERANCE_SECONDS = 1e-3


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

    Formats that libsndfile cannot read (`FFMPEG_SUFFIXES`) are decoded by ffmpeg, which has to be
    installed.

    Args:
        path: Path of the audio file.
        sample_rate: Sample rate of the waveform, in Hz.
        start: Beginning of the segment, in seconds; None: the beginning of the file. libsndfile
            seeks, so reading a segment of a long recording costs only the segment. MP3, Opus and
            what ffmpeg decodes are decoded from the beginning.
        end: End of the segment, in seconds; None: the end of the file. The end may exceed the
            duration by 1 ms, the rounding of printed annotations.

    Returns:
        float32 waveform `[samples]` in [-1, 1] with `round(seconds * sample_rate)` samples, plus or
        minus one.

    Raises:
        AudioError: The file is missing, not a regular file, empty, a git-lfs pointer, not audio, or
            in a format for which no decoder is installed; it is damaged, or has less than its
            header promises; it has no samples, NaN or infinite samples, or a sample rate outside 1
            to 768 kHz; there is not enough memory for it; or `start` and `end` do not mark a
            segment of it.
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
    try:
        with _opened(path) as stream:
            waveform = _mono(path, stream, start, end)
            source_rate = stream.sample_rate
        if source_rate != sample_rate:
            import soxr

            samples = len(waveform)
            waveform = soxr.resample(waveform, source_rate, sample_rate, quality="HQ")
            if not waveform.size:
                raise AudioError(
                    f"{path}: {samples} samples at {source_rate} Hz are none at {sample_rate} Hz"
                )
    except MemoryError as error:
        raise AudioError(f"{path}: needs more memory than there is") from error
    return np.clip(waveform, -1.0, 1.0)


def header(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Reads the format of a recording.

    Args:
        path: Path of the audio file.

    Returns:
        Sample rate in Hz, and number of channels.

    Raises:
        AudioError: The file is missing, not audio, damaged, or in a format for which no decoder is
            installed.
    """
    with _opened(Path(path)) as stream:
        return stream.sample_rate, stream.channels


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Stream]:
    """Opens a file with the decoder of its format, and names it in errors."""
    head = check_file(path)
    with contextlib.ExitStack() as stack:
        try:
            try:
                stream = stack.enter_context(libsndfile.opened(path, head))
            except libsndfile.UnknownFormatError:
                if not ffmpeg.is_for_ffmpeg(path, head):
                    raise
                stream = stack.enter_context(ffmpeg.opened(path))
            if not MIN_RATE <= stream.sample_rate <= MAX_RATE:
                raise AudioError(
                    f"{path}: expected a sample rate of {MIN_RATE:,} to {MAX_RATE:,} Hz, found "
                    f"{stream.sample_rate:,}"
                )
            yield stream
        except DamageError as error:
            raise AudioError(f"{path}: is truncated or damaged ({error})") from error
        except OSError as error:
            raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error


def _mono(
    path: Path, stream: Stream, start: float | None, end: float | None
) -> Float32[np.ndarray, " samples"]:
    """Reads the mean of the channels between two times."""
    segment = None
    if stream.frames is not None:
        if stream.frames == 0:
            raise AudioError(f"{path}: has no samples")
        segment = _segment(path, stream.frames, stream.sample_rate, start, end)
    first, last = (0, None) if segment is None else segment
    # To the end of the file, beyond which a decoder may have more than the header promises.
    blocks = stream.read(first, None if end is None else last)
    waveforms: list[np.ndarray] = []
    position = first
    for block in blocks:
        _check_values(path, block, position)
        waveforms.append(block.mean(axis=1))
        position += len(block)
    if not waveforms:
        raise AudioError(f"{path}: has no samples")
    waveform = np.concatenate(waveforms)
    if segment is None:
        first, last = _segment(path, len(waveform), stream.sample_rate, start, end)
        waveform = waveform[first:last]
    return waveform


def _check_values(path: Path, block: Float32[np.ndarray, "frames channels"], first: int) -> None:
    """Refuses samples that are not finite or on another scale; `first` is the block's position."""
    peak = float(np.max(np.abs(block)))  # NaN and infinity survive the maximum
    if not np.isfinite(peak):
        frame = int(np.argmax(~np.isfinite(block).all(axis=1)))
        value = block[frame][~np.isfinite(block[frame])][0]
        raise AudioError(f"{path}: sample {first + frame} is {value}, expected finite samples")
    if peak > _OVERSHOOT:
        raise AudioError(f"{path}: samples reach {peak:g}, expected [-1, 1]; rescale the file")


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
