"""Sound files are read completely or refused, whatever their headers say."""

import os
import struct
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile

from serjax import audio
from serjax.audio import mpeg, ogg
from serjax.audio.errors import DamageError
from tests.helpers.sounds import encode, reason, sine, wav_bytes

# Suffix, format and subtype of every container that libsndfile writes and serjax reads.
CONTAINERS = {
    "wav": ("WAV", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "sph": ("NIST", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
COMPRESSED = ("flac", "ogg", "opus", "mp3")
SAMPLES = 32_000


def noise(samples=SAMPLES, seed=0):
    loudness = 0.1 + 0.4 * (np.arange(samples) // 4000 % 2)  # so that bit rates vary
    return (loudness * np.random.default_rng(seed).uniform(-1, 1, samples)).astype(np.float32)


def write(path, samples=None, rate=16_000):
    """Writes noise in the format of a suffix, and returns the path."""
    kind, subtype = CONTAINERS[path.suffix[1:]]
    if subtype not in soundfile.available_subtypes(kind):
        pytest.skip(f"this libsndfile does not write {kind} {subtype}")
    soundfile.write(
        path, noise() if samples is None else samples, rate, format=kind, subtype=subtype
    )
    return path


def without_header_frame(content):
    """Content of an MP3 file without its first frame, which tells its length."""
    first, position = mpeg._first_frame(content)
    assert mpeg._promised_frames(content, position, first)
    return content[position + first.size :]


# --- Truncated -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", CONTAINERS)
def test_truncated_anywhere(tmp_path, ending):
    path = write(tmp_path / f"x.{ending}")
    content = path.read_bytes()
    sizes = [len(content) * k // 10 for k in range(1, 10)] + [len(content) - 1]
    for size in sizes:
        path.write_bytes(content[:size])
        with pytest.raises(audio.AudioError) as caught:
            audio.load(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [["m4a"], ["wma"], ["mka", "-c:a", "aac"], ["webm"], ["aac"]])
def test_truncated_for_ffmpeg(tmp_path, options):
    ending, *options = options
    path = encode(tmp_path / f"x.{ending}", noise(), 16_000, *options)
    content = path.read_bytes()
    for size in (len(content) // 3, len(content) * 4 // 5, len(content) - 3):
        path.write_bytes(content[:size])
        reason(path)


def test_mp3_without_a_length_is_truncated_within_its_last_frame(tmp_path):
    content = without_header_frame(write(tmp_path / "x.mp3").read_bytes())
    (tmp_path / "x.mp3").write_bytes(content[:-10])
    assert reason(tmp_path / "x.mp3").startswith(
        "is truncated or damaged (expected a frame at byte"
    )


def test_segment_past_the_samples_of_a_truncated_file(tmp_path):
    path = write(tmp_path / "x.flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "truncated" in reason(path, start=1.5, end=1.9)


# --- Several streams -----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", CONTAINERS)
def test_joined_files(tmp_path, ending):
    """As `cat a b > c` makes them: compressed streams follow one another, others are refused."""
    first, second = (
        write(tmp_path / f"{name}.{ending}", noise(seed=seed)) for seed, name in enumerate("ab")
    )
    path = tmp_path / f"c.{ending}"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    if ending not in COMPRESSED:
        assert reason(path).startswith("holds another file after its first ")
        return
    expected = np.concatenate([audio.load(first), audio.load(second)])
    np.testing.assert_allclose(audio.load(path), expected, atol=1e-6)
    segment = audio.load(path, start=1.5, end=2.5)
    np.testing.assert_allclose(segment, expected[24_000:40_000], atol=1e-6)


@pytest.mark.parametrize("ending", ["flac", "ogg"])
def test_joined_files_of_different_rates(tmp_path, ending):
    path = tmp_path / f"c.{ending}"
    parts = [write(tmp_path / f"{rate}.{ending}", rate=rate) for rate in (16_000, 22_050)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert "joins streams of 16000 Hz, 1 channels and of 22050 Hz" in reason(path)


# --- Unknown lengths -----------------------------------------------------------------------------


def patched(path, position, value):
    content = bytearray(path.read_bytes())
    content[position : position + len(value)] = value
    path.write_bytes(content)
    return path


def position_of(path, name):
    return path.read_bytes().index(name) + len(name)


@pytest.mark.parametrize("size", [0x7F000000, 0x7FFFF000, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF])
def test_length_that_was_unknown_to_the_writer_of_a_wav(tmp_path, size):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(np.arange(100), data_bytes=size))
    np.testing.assert_array_equal(audio.load(path), np.arange(100) / 32768)


def test_length_that_was_unknown_to_the_writer(tmp_path):
    au, aiff, flac = (write(tmp_path / f"x.{ending}") for ending in ("au", "aiff", "flac"))
    expected = [audio.load(path) for path in (au, aiff, flac)]
    patched(au, 8, b"\xff" * 4)
    patched(aiff, position_of(aiff, b"SSND"), struct.pack(">I", 0x7F000008))
    bits = flac.read_bytes()[21] & 0xF0  # the total number of samples has 36 bits
    patched(flac, 21, bytes([bits]) + bytes(4))
    for path, waveform in zip((au, aiff, flac), expected, strict=True):
        np.testing.assert_array_equal(audio.load(path), waveform)
        segment = audio.load(path, start=0.5, end=1.0)
        np.testing.assert_array_equal(segment, waveform[8_000:16_000])
    caf = write(tmp_path / "x.caf")  # libsndfile refuses it
    assert "is not audio that libsndfile reads" in reason(
        patched(caf, position_of(caf, b"data"), b"\xff" * 8)
    )


def test_mp3_that_tells_no_length(tmp_path):
    """libsndfile estimates it from the first frame: too short, and too long."""
    path = write(tmp_path / "x.mp3")
    whole = audio.load(path)
    content = without_header_frame(path.read_bytes())
    for begin in (content, b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + content):
        path.write_bytes(begin)
        with soundfile.SoundFile(path) as file:
            estimate = file.frames
        waveform = audio.load(path)
        assert abs(estimate - len(waveform)) > 1_000
        # The padding of encoder and decoder remains.
        assert 0 <= len(waveform) - len(whole) < 3_000
        delay = int(np.argmax(np.correlate(waveform[:8_000], whole[1_000:5_000]))) - 1_000
        overlap = waveform[delay + 1_000 : delay + 30_000]
        np.testing.assert_allclose(overlap, whole[1_000:30_000], atol=1e-3)


def test_tags_of_mp3(tmp_path):
    path = write(tmp_path / "x.mp3")
    whole, content = audio.load(path), path.read_bytes()
    id3v2 = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    id3v1 = b"TAG" + bytes(125)
    ape = struct.pack("<8s4I8x", b"APETAGEX", 2000, 32, 0, 0x80000000)
    for tagged in (id3v2 + content, content + id3v1, content + ape + ape, content + b"junk"):
        path.write_bytes(tagged)
        np.testing.assert_array_equal(audio.load(path), whole)
    path.write_bytes(content + id3v1 + id3v2 + content)
    assert len(audio.load(path)) == 2 * len(whole)


# --- Damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["ogg", "opus"])
def test_damaged_page(tmp_path, ending):
    path = write(tmp_path / f"x.{ending}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    with pytest.raises(DamageError, match="the checksum of the page at byte"):
        ogg.chained(bytes(content))
    path.write_bytes(content)
    reason(path)


def test_hole_in_an_mp3(tmp_path):
    path = write(tmp_path / "x.mp3")
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(5_000) + content[middle + 5_000 :])
    assert "promises" in reason(path)
    content = without_header_frame(content)
    path.write_bytes(content[:middle] + content[middle + 777 :])
    assert "expected a frame at byte" in reason(path)


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 2**31 - 1])
@pytest.mark.parametrize("function", [audio.load, audio.header])
def test_rate_of_no_recording(tmp_path, rate, function):
    """At 1 Hz, resampling to 16 kHz needed 16,000 times the memory, and crashed."""
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(np.arange(75_000) % 100))
    patched(path, 24, struct.pack("<I", rate))
    with pytest.raises(audio.AudioError, match=r"expected a sample rate of|is not audio"):
        function(path)


def test_flac_that_claims_more_samples_than_its_bytes_hold(tmp_path):
    path = write(tmp_path / "x.flac")
    bits = path.read_bytes()[21] | 0x0F
    patched(path, 21, bytes([bits]) + b"\xff" * 4)
    tracemalloc.start()
    assert f"promises {2**36 - 1} samples, has {SAMPLES}" in reason(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize("field", [16, 22])  # size of the format chunk, number of channels
def test_other_claims_of_a_header(tmp_path, field):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(np.arange(1000)))
    patched(path, field, b"\xff\xff")
    reason(path)


@pytest.mark.parametrize(
    "error",
    [ValueError("bad\nvalue"), AssertionError(), OverflowError(), RuntimeError(), OSError()],
)
@pytest.mark.parametrize("method", ["read", "__init__"])
def test_no_exception_of_a_library_passes(tmp_path, monkeypatch, error, method):
    def fail(*_args, **_options):
        raise error

    path = write(tmp_path / "x.wav")
    monkeypatch.setattr(soundfile.SoundFile, method, fail)
    reason(path)


@pytest.mark.parametrize(
    "place", ["soundfile.SoundFile.read", "numpy.concatenate", "soxr.resample"]
)
def test_lack_of_memory(tmp_path, monkeypatch, place):
    def fail(*_args, **_options):
        raise MemoryError

    path = write(tmp_path / "x.wav", rate=22_050)
    monkeypatch.setattr(place, fail)
    assert reason(path) == "needs more memory than there is"


def test_playlist_names_other_files(tmp_path):
    """ffmpeg would open what it names, on the network too."""
    write(tmp_path / "x.wav")
    playlist = f"ffconcat version 1.0\nfile {tmp_path / 'x.wav'}\n"
    (tmp_path / "x.m4a").write_text(playlist)
    assert "is not audio" in reason(tmp_path / "x.m4a")


def test_format_whose_completeness_cannot_be_checked(tmp_path):
    soundfile.write(tmp_path / "x.voc", sine(100, 16_000), 16_000)
    assert "which is not read, because libsndfile silently shortens" in reason(tmp_path / "x.voc")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
@pytest.mark.parametrize("ending", ["wav", "ogg", "m4a"])
def test_name_that_is_not_utf_8(tmp_path, ending):
    known = tmp_path / f"x.{ending}"
    if ending == "m4a":
        encode(known, noise(), 16_000)
    else:
        write(known)
    whole = audio.load(known)
    name = os.fsdecode(b"gl\xfccklich." + ending.encode())
    np.testing.assert_array_equal(audio.load(known.rename(tmp_path / name)), whole)


def test_suffixes():
    groups = (audio.SUFFIXES, audio.UNREADABLE_SUFFIXES)
    assert not set(groups[0]) & set(groups[1])
    assert all(
        suffix == suffix.lower() and suffix[0] == "." for group in groups for suffix in group
    )
    assert all(f".{ending}" in audio.SUFFIXES for ending in CONTAINERS)
