"""Mutated sound files: each is read or refused with one error."""

import contextlib
import struct
from collections import Counter

import numpy as np
import pytest
import soundfile

from serjax import audio
from tests.helpers.sounds import encode

# Suffix, format and subtype of what libsndfile writes.
WRITTEN = [
    *[("wav", "WAV", s) for s in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ALAW", "IMA_ADPCM")],
    *[("wav", "WAV", s) for s in ("MS_ADPCM", "GSM610", "DOUBLE")],
    ("wav", "WAVEX", "PCM_16"),
    *[("aiff", "AIFF", s) for s in ("PCM_16", "FLOAT", "ULAW")],
    *[("au", "AU", s) for s in ("PCM_16", "ULAW", "G721_32")],
    *[("caf", "CAF", s) for s in ("PCM_16", "ALAC_16")],
    ("w64", "W64", "PCM_16"),
    ("rf64", "RF64", "PCM_16"),
    ("sph", "NIST", "PCM_16"),
    *[("flac", "FLAC", s) for s in ("PCM_16", "PCM_24")],
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
]
# Suffix and options of what ffmpeg writes.
ENCODED = [
    ("m4a",), ("m4a", "-movflags", "+faststart"), ("aac",), ("wma",), ("mka", "-c:a", "aac"),
    ("webm",), ("ac3", "-ar", "32000"), ("mp3", "-q:a", "4", "-write_xing", "0"), ("mp2",),
]  # fmt: skip
INTERESTING = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
MUTANTS = 160
MUTANTS_FOR_FFMPEG = 24


def sound():
    generator = np.random.default_rng(0)
    time = np.arange(12_000) / 8_000
    speech = np.sin(2 * np.pi * 150 * time) * np.sin(2 * np.pi * 2 * time)
    return (0.4 * speech + 0.02 * generator.standard_normal(len(time))).astype(np.float32)


def mutated(content, generator):
    """Changes bits, bytes or fields, most of them in the header, or the length."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 4)):
        most = min(len(content), 128) if generator.random() < 0.6 else len(content)
        position = int(generator.integers(0, most))
        kind = generator.integers(0, 8)
        if kind == 0:
            content[position] ^= 1 << int(generator.integers(0, 8))
        elif kind == 1:
            content[position] = int(generator.integers(0, 256))
        elif kind in (2, 3):
            order = "<>"[generator.integers(0, 2)]
            value = INTERESTING[generator.integers(0, len(INTERESTING))]
            field = struct.pack(f"{order}I", value)[-4 if kind == 2 else -2 :]
            content[position : position + len(field)] = field
        elif kind == 4:
            del content[position : position + int(generator.integers(1, 64))]
        elif kind == 5:
            content[position:position] = generator.bytes(int(generator.integers(1, 64)))
        elif kind == 6:
            content = content[: int(generator.integers(0, len(content)))]
        else:
            content += content[position:]
        if not content:
            break
    return bytes(content)


def loaded(path):
    """The waveform of a file, or the message of its refusal."""
    try:
        return audio.load(path)
    except audio.AudioError as error:
        return str(error)


def outcomes(path, mutants, seed):
    """Counts the mutants of a file that are read and those that are refused; others fail."""
    content, generator = path.read_bytes(), np.random.default_rng(seed)
    counts = Counter()
    for _ in range(mutants):
        path.write_bytes(mutated(content, generator))
        result = loaded(path)
        if isinstance(result, str):
            assert result.startswith(f"{path}: ")
            assert result.isprintable()
            counts["refused"] += 1
        else:
            assert result.dtype == np.float32
            assert result.ndim == 1
            assert len(result)
            assert np.abs(result).max() <= 1
            # The lowest rate is resampled to 16 times the samples; the most compressed is FLAC.
            assert len(result) <= 16 * 2**16 * path.stat().st_size
            counts["read"] += 1
        with contextlib.suppress(audio.AudioError):
            audio.header(path)
    return counts


def print_counts(name, counts):
    """Prints the counts, which docs/reliability.md reports."""
    print(f"{name}: tried {counts.total()}, {dict(sorted(counts.items()))}")


@pytest.mark.parametrize(("ending", "kind", "subtype"), WRITTEN)
def test_few_mutants(tmp_path, ending, kind, subtype):
    if subtype not in soundfile.available_subtypes(kind):
        pytest.skip(f"this libsndfile does not write {kind} {subtype}")
    soundfile.write(tmp_path / f"x.{ending}", sound(), 8_000, format=kind, subtype=subtype)
    assert outcomes(tmp_path / f"x.{ending}", 10, seed=1)["refused"]


@pytest.mark.slow
def test_mutants_of_what_libsndfile_reads(tmp_path):
    counts = Counter()
    for seed, (ending, kind, subtype) in enumerate(WRITTEN):
        path = tmp_path / f"{seed}.{ending}"
        if subtype in soundfile.available_subtypes(kind):
            soundfile.write(path, sound(), 8_000, format=kind, subtype=subtype)
            counts += outcomes(path, MUTANTS, seed)
    print_counts("libsndfile", counts)
    assert counts.total() > 10 * MUTANTS


@pytest.mark.slow
@pytest.mark.parametrize("options", ENCODED, ids=" ".join)
def test_mutants_of_what_ffmpeg_writes(tmp_path, options):
    ending, *options = options
    path = encode(tmp_path / f"x.{ending}", sound(), 8_000, "-ar", "16000", *options)
    counts = outcomes(path, MUTANTS_FOR_FFMPEG, seed=len(options))
    print_counts(ending, counts)
    assert counts.total() == MUTANTS_FOR_FFMPEG
