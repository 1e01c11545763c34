"""Checks of files before they are decoded: what they are, and whether all of them is there.

Decoders silently shorten a file whose samples end early. So the number of bytes that a container
promises is compared with those of the file.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from serjax.audio.errors import AudioError

_LFS_POINTER = b"version https://git-lfs"

# Writers that cannot seek back (pipes) leave a size near these in the header: sox (AIFF), sox and
# arecord (WAV), ffmpeg. These sizes are placeholders, not promises.
_PLACEHOLDERS = (0x7F00_0000, 0x8000_0000, 0x1_0000_0000)
_PLACEHOLDER_TOLERANCE = 2**16
_UNKNOWN = 2**62

_WAVE64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEAD_BYTES = 64
_MOST_HEADER_BYTES = 2**16


class Promise(NamedTuple):
    """Extent of the samples that a container promises.

    Attributes:
        first: Position of the first byte of the samples in the file.
        length: Number of bytes of the samples.
        end: Position after the last byte of the container.
    """

    first: int
    length: int
    end: int


def check_file(path: Path) -> bytes:
    """Checks that a file can be audio, and that it has all bytes that its header promises.

    Args:
        path: Path of the file.

    Returns:
        First bytes of the file, by which its container is known.

    Raises:
        AudioError: The file is missing, not a regular file, empty, unreadable, a git-lfs pointer,
            shorter than its header promises, or several files in one.
    """
    try:
        if not os.path.exists(path):
            if path.is_symlink():
                raise AudioError(f"{path}: is a link that leads nowhere, to {os.readlink(path)}")
            raise AudioError(f"{path}: no such file")
        if not os.path.isfile(path):
            kind = "a directory" if os.path.isdir(path) else "not a regular file"
            raise AudioError(f"{path}: is {kind}, expected an audio file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise AudioError(f"{path}: is empty (0 bytes)")
            head = file.read(_HEAD_BYTES)
            if head.startswith(_LFS_POINTER):
                raise AudioError(
                    f"{path}: is a git-lfs pointer, not audio; run `git lfs pull` in its clone"
                )
            promise = _promise(head, file, size)
            if promise is None or _is_placeholder(promise.length):
                return head
            present = size - promise.first
            if present < promise.length:
                raise AudioError(
                    f"{path}: is truncated: its header promises {promise.length} bytes of samples, "
                    f"has {max(present, 0)}"
                )
            file.seek(promise.end)
            if head[:4] in file.read(5):  # an odd length is padded
                raise AudioError(
                    f"{path}: holds another file after its first {promise.end} bytes; expected one "
                    "recording"
                )
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    return head


def _is_placeholder(length: int) -> bool:
    """Returns True if a number of bytes was written before the length was known."""
    near = any(abs(length - size) <= _PLACEHOLDER_TOLERANCE for size in _PLACEHOLDERS)
    return near or not 0 <= length < _UNKNOWN


def _promise(head: bytes, file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of a container; None if it is unknown or makes none."""
    for offset, magic, read in _CONTAINERS:
        if head[offset : offset + len(magic)] == magic:
            try:
                return read(file, size)
            except AudioError:
                raise
            except (struct.error, ValueError, IndexError, OverflowError):
                return None  # a header that is no such container; the decoder says why
    return None


def _chunks(order: str, sample_chunk: bytes) -> Callable[[BinaryIO, int], Promise | None]:
    """Returns the reader of a container of chunks of 32-bit lengths: RIFF and IFF.

    Other chunks may precede the samples (RAVDESS has an `FLLR` chunk), so all chunks are walked.
    """

    def read(file: BinaryIO, size: int) -> Promise | None:
        file.seek(4)
        (container,) = struct.unpack(f"{order}I", file.read(4))
        file.seek(12)
        while len(header := file.read(8)) == 8:
            name, length = struct.unpack(f"{order}4sI", header)
            if not name.isascii():
                return None
            first = file.tell()
            if name == sample_chunk:
                if size - first >= 2**32:  # the length is that of the file modulo 4 GiB
                    raise AudioError(
                        f"{file.name}: expected at most 4 GiB, the most that its header can tell, "
                        f"found {size} bytes; convert the file to FLAC or RF64"
                    )
                return Promise(first, length, max(8 + container, first + length))
            file.seek(length + length % 2, os.SEEK_CUR)  # chunks start at even offsets
        return None

    return read


def _rf64(file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of RF64, a RIFF file with 64-bit lengths in its first chunk."""
    file.seek(12)
    name, length, _, samples = struct.unpack("<4sIQQ", file.read(24))
    if name != b"ds64" or samples == 0:
        return None
    file.seek(20 + length)
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", header)
        if name == b"data":
            return Promise(file.tell(), samples, file.tell() + samples)
        file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _wave64(file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of Sony's Wave64: chunks with names and lengths of 24 bytes in all."""
    position = 40
    while position + 24 <= size:
        file.seek(position)
        name, length = struct.unpack("<16sQ", file.read(24))
        if length < 24:
            return None
        if name == _WAVE64_DATA:
            return Promise(position + 24, length - 24, position + length)
        position += -(-length // 8) * 8
    return None


def _au(order: str) -> Callable[[BinaryIO, int], Promise | None]:
    """Returns the reader of Sun's AU."""

    def read(file: BinaryIO, size: int) -> Promise:
        file.seek(4)
        first, length = struct.unpack(f"{order}II", file.read(8))
        return Promise(first, length, first + length)

    return read


def _caf(file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of Apple's CAF."""
    position = 8
    while position + 12 <= size:
        file.seek(position)
        name, length = struct.unpack(">4sq", file.read(12))
        if name == b"data":
            return Promise(position + 12, length, position + 12 + max(length, 0))
        if length < 0:
            return None
        position += 12 + length
    return None


def _sphere(file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of NIST SPHERE, whose header is text."""
    file.seek(8)
    first = int(file.read(8))
    file.seek(0)
    lines = [line.split() for line in file.read(min(first, _MOST_HEADER_BYTES)).split(b"\n")]
    fields = {line[0]: line[2] for line in lines if len(line) == 3}
    names = (b"sample_count", b"channel_count", b"sample_n_bytes")
    is_compressed = b"embedded" in fields.get(b"sample_coding", b"")
    if is_compressed or not all(name in fields for name in names):
        return None
    samples, channels, width = (int(fields[name]) for name in names)
    length = samples * channels * width
    return Promise(first, length, first + length)


def _mp4(file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of MP4 and 3GP: the boxes of which the file consists."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"ftyp" and position:  # the begin of another file
            return Promise(0, position, position)
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        elif length == 0:  # to the end of the file
            return None
        if length < 8:
            return None
        position += length
    return Promise(0, position, max(position, size))


def _matroska(file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of Matroska and WebM: the length of their only segment."""

    def number(keep_marker: bool) -> int:
        first = file.read(1)[0]
        width = 9 - first.bit_length()
        value = int.from_bytes(bytes([first]) + file.read(width - 1), "big")
        if keep_marker:
            return value
        value &= (1 << 7 * width) - 1
        return _UNKNOWN if value == (1 << 7 * width) - 1 else value

    file.seek(0)
    number(True)
    file.seek(number(False), os.SEEK_CUR)
    if number(True) != 0x18538067:
        return None
    length = number(False)
    first = file.tell()
    return Promise(first, length, first + length)


def _asf(file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of ASF, the container of WMA: the size of the file."""
    file.seek(0)
    header = file.read(_MOST_HEADER_BYTES)
    position = header.find(_ASF_FILE_PROPERTIES)
    if position < 0:
        return None
    (length,) = struct.unpack_from("<Q", header, position + 40)
    (flags,) = struct.unpack_from("<I", header, position + 88)
    is_broadcast = flags & 1
    return None if is_broadcast else Promise(0, length, length)


def _adts(file: BinaryIO, size: int) -> Promise | None:
    """Reads the promise of a stream of AAC: the lengths of its frames."""
    position = 0
    while position < size:
        file.seek(position)
        header = int.from_bytes(file.read(7).ljust(7, b"\xff"), "big")
        length = header >> 13 & 0x1FFF
        if header >> 44 != 0xFFF or length < 7:
            return None
        position += length
    return Promise(0, position, max(position, size))


# Offset and bytes by which a container is known, and the reader of its promise.
_CONTAINERS: tuple[tuple[int, bytes, Callable[[BinaryIO, int], Promise | None]], ...] = (
    (0, b"RIFF", _chunks("<", b"data")),
    (0, b"RIFX", _chunks(">", b"data")),
    (0, b"FORM", _chunks(">", b"SSND")),
    (0, b"RF64", _rf64),
    (0, b"riff\x2e\x91\xcf\x11", _wave64),
    (0, b".snd", _au(">")),
    (0, b"dns.", _au("<")),
    (0, b"caff", _caf),
    (0, b"NIST_1A", _sphere),
    (4, b"ftyp", _mp4),
    (0, b"\xff\xf1", _adts),
    (0, b"\xff\xf9", _adts),
    (0, b"\x1aE\xdf\xa3", _matroska),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _asf),
)
