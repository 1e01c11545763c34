"""Audio files as mono waveforms, at any sample rate and with any number of channels.

libsndfile reads most formats; ffmpeg decodes the others (m4a, aac, wma).

Corpora pass through many hands: they are re-packed, half downloaded, joined by `cat`, or cloned
without large-file support. So a file is either read completely, or refused with an `AudioError`
that names the file and the reason. The length in a header is a promise that is checked, never the
number of samples to read, and no memory is allocated by it.
"""

from serjax.audio.errors import AudioError
from serjax.audio.formats import (
    FFMPEG_SUFFIXES,
    LOSSLESS_SUFFIXES,
    LOSSY_SUFFIXES,
    SUFFIXES,
    UNREADABLE_SUFFIXES,
)
from serjax.audio.load import header, load

__all__ = [
    "FFMPEG_SUFFIXES",
    "LOSSLESS_SUFFIXES",
    "LOSSY_SUFFIXES",
    "SUFFIXES",
    "UNREADABLE_SUFFIXES",
    "AudioError",
    "header",
    "load",
]
