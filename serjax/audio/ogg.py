"""Pages of Ogg files: whether all of them are there, and the streams that are chained.

libsndfile reads only the first of several chained streams, and skips damaged pages.
"""

import struct
import zlib

from serjax.audio.errors import DamageError

_MAGIC = b"OggS"
_HEADER = struct.Struct("<4sBBqIIIB")
_BEGIN = 2  # flag of the first page of a logical stream

# Ogg's checksum is the CRC-32 of zlib with the bits of each byte and of the result in the other
# order, and other constants before and after (RFC 3533).
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def chained(content: bytes) -> list[bytes]:
    """Splits an Ogg file into its chained streams, each a complete file.

    Multiplexed streams, which begin together, stay together.

    Args:
        content: Content of the file.

    Returns:
        Content of each stream, in order.

    Raises:
        DamageError: A page is damaged or missing its end, or something else lies between pages.
    """
    starts: list[int] = []
    position, was_begin = 0, False
    while position < len(content):
        if not content.startswith(_MAGIC, position):
            if not content[position:].strip(b"\0"):
                break  # padding
            raise DamageError(f"expected a page at byte {position}")
        end, is_begin = _page(content, position)
        if is_begin and not was_begin:
            starts.append(position)
        position, was_begin = end, is_begin
    ends = [*starts[1:], position]
    return [content[start:end] for start, end in zip(starts, ends, strict=True)]


def _page(content: bytes, position: int) -> tuple[int, bool]:
    """Returns the end of a page, and whether it begins a logical stream."""
    body = position + _HEADER.size
    if body > len(content):
        raise DamageError("its last page has no end")
    _, _, flags, _, _, _, checksum, count = _HEADER.unpack_from(content, position)
    end = body + count + sum(content[body : body + count])
    if body + count > len(content) or end > len(content):
        raise DamageError("its last page has no end")
    if _checksum(content[position:end]) != checksum:
        raise DamageError(f"the checksum of the page at byte {position} is wrong")
    return end, bool(flags & _BEGIN)


def _checksum(page: bytes) -> int:
    """Returns the checksum of a page, whose own field counts as zeros."""
    page = page[:22] + bytes(4) + page[26:]
    reflected = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")
