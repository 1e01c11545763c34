"""Decoding of the formats that libsndfile reads."""

import contextlib
import io
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import soundfile

from serjax.audio import mpeg, ogg
from serjax.audio.errors import AudioError, DamageError, one_line
from serjax.audio.stream import BLOCK_VALUES, Block, Stream

# The formats whose completeness is checked: by their containers, pages, frames, or, for FLAC, by
# the decoder. libsndfile reads others, which it may silently shorten.
_FORMATS = ("AIFF", "AU", "CAF", "FLAC", "MP3", "NIST", "OGG", "RF64", "W64", "WAV", "WAVEX")
# libsndfile's positions in these are inexact.
_UNSEEKABLE = ("MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "OPUS")
_UNKNOWN_FRAMES = 2**62
# An MP3 decoder drops what encoder and decoder added: two numbers of 12 bits, and its own delay.
_MOST_DROPPED_SAMPLES = 3 * 2**12
_FLAC_HEADER = b"fLaC\x00\x00\x00\x22"


class UnknownFormatError(AudioError):
    """Error for a file that libsndfile does not recognize."""


class _SoundFile(soundfile.SoundFile):
    """A file that is read from its begin to its end.

    soundfile seeks after each block of a seekable file, which takes long in compressed files, and
    fails in those of unknown length.
    """

    def seekable(self) -> bool:
        """Returns False."""
        return False


@contextlib.contextmanager
def opened(path: Path, head: bytes) -> Iterator[Stream]:
    """Opens a file.

    Args:
        path: Path of the file.
        head: First bytes of the file.

    Yields:
        Its sound.

    Raises:
        UnknownFormatError: libsndfile does not recognize the file.
        AudioError: The file is damaged, or of a format that is not read.
        DamageError: The file is damaged; the message does not name it.
    """
    with contextlib.ExitStack() as stack:
        # A name that is not valid UTF-8 is passed as the bytes that it is on disk.
        first = stack.enter_context(_open(os.fsencode(path), path))
        if first.format not in _FORMATS:
            raise AudioError(
                f"{path}: is {one_line(first.format_info)}, which is not read, because libsndfile "
                "silently shortens damaged files of it; convert it to WAV or FLAC"
            )
        expected: list[int | None] = [None]
        files = [first]
        contents = _contents(path, first.format, head)
        if contents:
            files = [
                stack.enter_context(_open(io.BytesIO(content), path)) for content, _ in contents
            ]
            expected = [samples for _, samples in contents]
        for file in files:
            _check_same(file, files[0])
        lengths = [file.frames for file in files]
        is_known = all(0 <= length < _UNKNOWN_FRAMES for length in lengths)

        def read(start: int, stop: int | None) -> Iterator[Block]:
            for file, samples in zip(files, expected, strict=True):
                frames = yield from _read(file, samples, start, stop)
                start = max(start - frames, 0)
                stop = None if stop is None else max(stop - frames, 0)

        frames = sum(lengths) if is_known else None
        yield Stream(first.samplerate, files[0].channels, frames, read)


def _contents(path: Path, kind: str, head: bytes) -> list[tuple[bytes, int | None]]:
    """Returns the contents of the streams in a file, and the samples that they have at most.

    Empty if the file is one stream that libsndfile reads itself.
    """
    if kind not in ("FLAC", "MP3", "OGG") or head.startswith(b"RIFF"):
        return []
    content = path.read_bytes()
    if kind == "MP3":
        return list(mpeg.streams(content))
    if kind == "OGG":
        return [(stream, None) for stream in ogg.chained(content)]
    starts = []
    position = content.find(_FLAC_HEADER)
    while position >= 0:
        starts.append(position)
        position = content.find(_FLAC_HEADER, position + 1)
    if len(starts) < 2:
        return []
    ends = [*starts[1:], len(content)]
    return [(content[a:b], None) for a, b in zip(starts, ends, strict=True)]


def _open(file: bytes | io.BytesIO, path: Path) -> _SoundFile:
    """Opens a file, or raises an AudioError."""
    try:
        return _SoundFile(file)
    # soundfile's own errors, TypeError for a headerless .raw, and whatever else it raises.
    except Exception as error:
        reason = one_line(getattr(error, "error_string", error))
        raise UnknownFormatError(
            f"{path}: is not audio that libsndfile reads ({reason})"
        ) from error


def _check_same(file: _SoundFile, first: _SoundFile) -> None:
    """Checks that a joined stream has the format of the first one."""
    if (file.samplerate, file.channels) != (first.samplerate, first.channels):
        raise DamageError(
            f"joins streams of {first.samplerate} Hz, {first.channels} channels and of "
            f"{file.samplerate} Hz, {file.channels} channels"
        )


def _read(
    file: _SoundFile, expected: int | None, start: int, stop: int | None
) -> Generator[Block, None, int]:
    """Yields the blocks of a file between two frames, and returns the number of passed frames."""
    promised = file.frames if file.frames < _UNKNOWN_FRAMES else None
    most = max(BLOCK_VALUES // file.channels, 1)
    position = 0
    try:
        if 0 < start <= (promised or 0) and _is_seekable(file):
            position = file.seek(start)
        while count := most if stop is None else min(most, stop - position):
            block = file.read(count, dtype="float32", always_2d=True)
            if not len(block):
                break
            skipped = min(max(start - position, 0), len(block))
            position += len(block)
            if skipped < len(block):
                yield block[skipped:]
    except MemoryError:
        raise
    except Exception as error:
        raise DamageError(one_line(getattr(error, "error_string", error))) from error
    wanted = [frames for frames in (promised, stop) if frames is not None]
    if wanted and position < min(wanted):
        raise DamageError(f"its header promises {promised} samples, has {position}")
    if stop is None and expected is not None and position < expected - _MOST_DROPPED_SAMPLES:
        raise DamageError(f"its frames have {expected} samples, libsndfile decodes {position}")
    return position


def _is_seekable(file: _SoundFile) -> bool:
    """Returns True if libsndfile finds a position in a file exactly."""
    return soundfile.SoundFile.seekable(file) and file.subtype not in _UNSEEKABLE
