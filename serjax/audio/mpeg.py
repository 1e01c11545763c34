"""Frames of MPEG audio (MP3): how many there are, and the streams that are joined in a file.

An MP3 file without a Xing header does not tell its length. libsndfile estimates it from the bit
rate of the first frame, and reads no more than that; of joined files it reads the first only. So
the frames are counted, and each stream gets a header with their number.
"""

import dataclasses
import struct
from collections.abc import Iterator
from typing import NamedTuple

from serjax.audio.errors import DamageError

# Bit rates in kbit/s by index, of MPEG 1 (layers I, II and III) and MPEG 2 (layer I, others).
_BIT_RATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = (44_100, 48_000, 32_000)
_DIVISORS = {3: 1, 2: 2, 0: 4}  # of the sample rates, by version: MPEG 1, 2 and 2.5
_VBRI_OFFSET = 36
_MOST_JUNK_BYTES = 2**16


class _Frame(NamedTuple):
    """The header of a frame.

    Attributes:
        size: Number of bytes of the frame.
        samples: Number of samples of a channel.
        kind: Version, layer and sample rate, which all frames of a file share.
        xing: Position of a Xing header in the frame.
    """

    size: int
    samples: int
    kind: tuple[int, int, int]
    xing: int


@dataclasses.dataclass
class _Part:
    """Frames of one encoding.

    Attributes:
        begin: Position of the first frame that has sound.
        header: Position of the frame before it that tells the number of frames; None without one.
        promised: Number of frames that this one tells; 0 if it tells none.
        frames: Number of frames that have sound.
        end: Position after the last one.
    """

    begin: int
    header: int | None = None
    promised: int | None = None
    frames: int = 0
    end: int = 0


class Stream(NamedTuple):
    """A stream of frames.

    Attributes:
        content: Content of an MP3 file that tells its number of frames.
        samples: Number of samples of a channel, with those that encoder and decoder add.
    """

    content: bytes
    samples: int


def streams(content: bytes) -> list[Stream]:
    """Splits an MP3 file into its joined streams, each a complete file with its true length.

    Args:
        content: Content of the file.

    Returns:
        The streams, in order.

    Raises:
        DamageError: There are no frames, fewer than a header promises, or something that is neither
            a frame nor a tag between them.
    """
    first, begin = _first_frame(content)
    parts = [_Part(begin)]
    for position, frame in _frames(content, begin, first.kind):
        promised = _promised_frames(content, position, frame)
        end = position + frame.size
        if promised is not None:
            parts.append(_Part(end, position, promised, end=end))
        else:
            parts[-1].frames += 1
            parts[-1].end = end
    last = parts[-1]
    for part in parts:
        # Some encoders count the frame that tells the number.
        if part.promised is not None and part.frames + 1 < part.promised:
            raise DamageError(f"its header promises {part.promised} frames, has {part.frames}")
    rest = content[_after_tags(content, last.end) :]
    # What follows all promised frames is of no concern; without a promise, it may be a frame.
    has_all = last.promised is not None and 0 < last.promised <= last.frames
    if rest.strip(b"\0") and not has_all:
        position = len(content) - len(rest)
        raise DamageError(f"expected a frame at byte {position}, found half of one or other data")
    found = [_stream(content, part, first) for part in parts if part.frames]
    if not found:
        raise DamageError("has no frames")
    return found


def _stream(content: bytes, part: _Part, first: _Frame) -> Stream:
    """Returns a stream with a frame before it that tells the number of its frames."""
    frames = content[part.begin : part.end]
    if part.header is not None and part.promised == part.frames:
        frames = content[part.header : part.begin] + frames
    elif first.kind[1] == 3:
        frames = _info_frame(frames, part.frames) + frames
    return Stream(frames, part.frames * first.samples)


def _info_frame(frames: bytes, count: int) -> bytes:
    """Returns a frame without sound that tells the number of the following ones."""
    header = bytearray(frames[:4])
    header[1] |= 1  # without a checksum
    header[2] = (header[2] & 0x0F) | (9 << 4)  # a bit rate whose frames have room for it
    frame = _frame(header, 0)
    assert frame is not None
    content = bytearray(frame.size)
    content[:4] = header
    size = len(content) + len(frames)
    struct.pack_into(">4s3I", content, frame.xing, b"Info", 3, count, size)
    return bytes(content)


def _first_frame(content: bytes) -> tuple[_Frame, int]:
    """Finds the first frame, which another one or the end of the file follows."""
    start = _after_tags(content, 0)
    for position in range(start, min(start + _MOST_JUNK_BYTES, len(content))):
        frame = _frame(content, position)
        if frame is not None:
            end = _after_tags(content, position + frame.size)
            following = _frame(content, end)
            if end == len(content) or (following is not None and following.kind == frame.kind):
                return frame, position
    raise DamageError("has no frames")


def _frames(
    content: bytes, position: int, kind: tuple[int, int, int]
) -> Iterator[tuple[int, _Frame]]:
    """Yields the positions and headers of complete frames of a kind that follow one another."""
    while True:
        position = _after_tags(content, position)
        frame = _frame(content, position)
        if frame is None or frame.kind != kind or position + frame.size > len(content):
            return
        yield position, frame
        position += frame.size


def _frame(content: bytes | bytearray, position: int) -> _Frame | None:
    """Reads the header of a frame; None if there is none, or one of free bit rate."""
    if position + 4 > len(content):
        return None
    (bits,) = struct.unpack_from(">I", content, position)
    version, layer = bits >> 19 & 3, 4 - (bits >> 17 & 3)
    rate_index, sample_rate_index = bits >> 12 & 15, bits >> 10 & 3
    is_valid = bits >> 21 == 0x7FF and version != 1 and layer != 4
    if not is_valid or rate_index in (0, 15) or sample_rate_index == 3:
        return None
    is_first_version = version == 3
    bit_rate = 1000 * _BIT_RATES[1 if is_first_version else 2, layer][rate_index]
    sample_rate = _SAMPLE_RATES[sample_rate_index] // _DIVISORS[version]
    padding = bits >> 9 & 1
    if layer == 1:
        samples = 384
        size = (12 * bit_rate // sample_rate + padding) * 4
    else:
        samples = 1152 if layer == 2 or is_first_version else 576
        size = samples // 8 * bit_rate // sample_rate + padding
    is_mono = bits >> 6 & 3 == 3
    side = (17 if is_mono else 32) if is_first_version else (9 if is_mono else 17)
    checksum = 0 if bits >> 16 & 1 else 2
    return _Frame(size, samples, (version, layer, sample_rate), 4 + side + checksum)


def _promised_frames(content: bytes, position: int, frame: _Frame) -> int | None:
    """Reads the number of frames from a Xing or VBRI header; None if the frame holds none."""
    if frame.kind[1] != 3:
        return None
    xing = content[position + frame.xing : position + frame.xing + 12]
    if xing[:4] in (b"Xing", b"Info") and len(xing) == 12:
        flags, count = struct.unpack(">II", xing[4:])
        return count if flags & 1 else 0
    vbri = content[position + _VBRI_OFFSET : position + _VBRI_OFFSET + 18]
    if vbri[:4] == b"VBRI" and len(vbri) == 18:
        return int.from_bytes(vbri[14:], "big")
    return None


def _after_tags(content: bytes, position: int) -> int:
    """Returns the position after the tags (ID3, APE) that begin at a position."""
    while True:
        header = content[position : position + 32]
        if header[:3] == b"ID3" and len(header) >= 10:
            size = 0
            for byte in header[6:10]:
                size = size << 7 | byte & 0x7F
            has_footer = header[5] & 0x10
            length = 10 + size + (10 if has_footer else 0)
        elif header[:8] == b"APETAGEX" and len(header) == 32:
            size, flags = struct.unpack_from("<I4xI", header, 12)
            is_header = flags >> 29 & 1
            length = 32 + size if is_header else 32
        elif header[:3] == b"TAG":
            length = 128
        else:
            return position
        position = min(position + length, len(content))
