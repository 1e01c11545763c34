"""Suffixes of the files that are read as sound, and of those that only look like it."""

LOSSLESS_SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".bwf", ".caf", ".flac", ".nist"),
    *(".rf64", ".snd", ".sph", ".w64", ".wav", ".wave"),
)
"""Suffixes of the formats that libsndfile reads and that usually lose nothing, in lower case."""

LOSSY_SUFFIXES = (".mp2", ".mp3", ".mpga", ".oga", ".ogg", ".opus")
"""Suffixes of the compressed formats that libsndfile reads."""

FFMPEG_SUFFIXES = (".3gp", ".aac", ".ac3", ".amr", ".m4a", ".m4b", ".mka", ".mp4", ".webm", ".wma")
"""Suffixes of the formats that libsndfile cannot read and ffmpeg can."""

SUFFIXES = (*LOSSLESS_SUFFIXES, *LOSSY_SUFFIXES, *FFMPEG_SUFFIXES)
"""Suffixes of recordings: every loader takes the files that have one of them."""

UNREADABLE_SUFFIXES = (
    *(".8svx", ".aax", ".alac", ".amb", ".ape", ".avi", ".avr", ".dff", ".dsf", ".dss", ".dts"),
    *(".dvf", ".eac3", ".flv", ".g722", ".gsm", ".htk", ".ircam", ".m4p", ".m4r", ".m4v", ".mkv"),
    *(".mov", ".mp1", ".mpc", ".mpeg", ".mpg", ".ogv", ".paf", ".pcm", ".pvf", ".qcp", ".ra"),
    *(".raw", ".rm", ".sd2", ".sds", ".shn", ".spx", ".svx", ".tta", ".voc", ".vox", ".wmv"),
    *(".wv", ".wve"),
)
"""Suffixes of recordings in formats that are not read; a loader names the files that have one."""

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Lowest and highest sample rate of a recording, in Hz: below, there is no speech, and above, no
converter. A header with another one is damaged."""
