"""Decoding of the formats that only ffmpeg reads.

ffmpeg runs as a program: librosa decodes through audioread, which drops ffmpeg's messages about
damage, rounds to 16 bits, and needs the whole file in memory.
"""

import contextlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from serjax.audio.errors import AudioError, DamageError, one_line
from serjax.audio.formats import FFMPEG_SUFFIXES
from serjax.audio.stream import BLOCK_VALUES, Block, Stream

# Offset and bytes by which a container is known whatever the suffix.
_MAGIC = (
    (4, b"ftyp"),
    (0, b"\x1aE\xdf\xa3"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    (0, b"#!AMR"),
    (0, b"\x0bw"),
    (0, b"\xff\xf1"),
    (0, b"\xff\xf9"),
)
# A file can name other files and addresses, as playlists do. Only these formats are opened, and
# only the file itself.
_SAFE = (
    *("-protocol_whitelist", "file", "-format_whitelist"),
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,ac3,amr,amrnb,amrwb",
)
_AU_HEADER = struct.Struct(">4s5I")
# The shortest packets of these codecs have a few bytes and at most 4,096 samples; a file that gives
# more is not finite.
_MOST_FRAMES_PER_BYTE = 4096


def is_for_ffmpeg(path: Path, head: bytes) -> bool:
    """Returns True if a file has the suffix or the first bytes of a format that ffmpeg reads.

    Args:
        path: Path of the file.
        head: First bytes of the file.
    """
    is_known = any(head[offset : offset + len(magic)] == magic for offset, magic in _MAGIC)
    return is_known or path.suffix.lower() in FFMPEG_SUFFIXES


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """Opens a file.

    Args:
        path: Path of the file.

    Yields:
        Its sound, of unknown length.

    Raises:
        AudioError: ffmpeg is not installed, or does not read the file.
        DamageError: The file is damaged; the message does not name it.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioError(
            f"{path}: expected a decoder of {path.suffix.lower()} files on this machine, found "
            "none; install ffmpeg (https://ffmpeg.org), or convert the file to WAV or FLAC"
        )
    # AU begins with sample rate and channels, and has no length that ffmpeg would have to go back
    # to. An absolute path with its protocol, because a name such as "http:..." is an address.
    command = [
        *(program, "-nostdin", "-hide_banner", "-v", "error", "-xerror", *_SAFE),
        *("-i", f"file:{os.path.abspath(path)}", "-map", "0:a:0", "-threads", "1"),
        *("-c:a", "pcm_f32be", "-f", "au", "-"),
    ]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages
        )
        assert process.stdout is not None
        try:
            header = process.stdout.read(_AU_HEADER.size)
            if len(header) < _AU_HEADER.size:
                process.wait()
                raise AudioError(
                    f"{path}: is not audio that libsndfile or ffmpeg reads ({_message(messages)})"
                )
            _, start, _, _, sample_rate, channels = _AU_HEADER.unpack(header)
            process.stdout.read(start - len(header))
            size = os.path.getsize(path)

            def read(first: int, last: int | None) -> Iterator[Block]:
                position = 0
                for block in _blocks(process, channels, size):
                    skipped = min(max(first - position, 0), len(block))
                    position += len(block)
                    surplus = 0 if last is None else max(position - last, 0)
                    if skipped + surplus < len(block):
                        yield block[skipped : len(block) - surplus]
                if process.wait() or os.fstat(messages.fileno()).st_size:
                    raise DamageError(_message(messages))

            yield Stream(sample_rate, channels, None, read)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _blocks(process: "subprocess.Popen[bytes]", channels: int, size: int) -> Iterator[Block]:
    """Yields what ffmpeg decodes."""
    assert process.stdout is not None
    frame_bytes = 4 * channels
    position = 0
    block_bytes = max(BLOCK_VALUES // channels, 1) * frame_bytes
    while content := process.stdout.read(block_bytes):
        frames = len(content) // frame_bytes
        position += frames
        if position > size * _MOST_FRAMES_PER_BYTE:
            raise DamageError(f"ffmpeg decodes more than {position} samples from {size} bytes")
        values = np.frombuffer(content[: frames * frame_bytes], ">f4")
        yield values.reshape(frames, channels).astype(np.float32)


def _message(messages: IO[bytes]) -> str:
    """Returns ffmpeg's first message, without the name of its component."""
    messages.seek(0)
    lines = messages.read(4096).decode("utf-8", "replace").splitlines()
    text = re.sub(r"^\[[^\]]*\] ", "", lines[0]) if lines else ""
    return one_line(text) if text else "no message"
