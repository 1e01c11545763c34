"""Loading of audio files: every format, every way in which a file can be broken."""

import shutil
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from serjax import audio
from tests.helpers.sounds import encode, reason, sine, wav_bytes

# Format, subtype, suffix, and the error of quantization or coding at an amplitude of one half.
FORMATS = [
    ("WAV", "PCM_U8", "wav", 2**-7),
    ("WAV", "PCM_16", "wav", 2**-15),
    ("WAV", "PCM_24", "wav", 2**-23),
    ("WAV", "PCM_32", "wav", 2**-23),
    ("WAV", "FLOAT", "wav", 0.0),
    ("WAV", "DOUBLE", "wav", 2**-24),
    ("WAV", "ALAW", "wav", 0.02),
    ("AIFF", "PCM_16", "aiff", 2**-15),
    ("FLAC", "PCM_16", "flac", 2**-15),
    ("FLAC", "PCM_24", "flac", 2**-23),
    ("OGG", "VORBIS", "ogg", 0.05),
    ("MP3", "MPEG_LAYER_III", "mp3", 0.05),
    ("AU", "PCM_16", "au", 2**-15),
    ("W64", "PCM_16", "w64", 2**-15),
    ("NIST", "PCM_16", "sph", 2**-15),
]


@pytest.mark.parametrize(("format_", "subtype", "ending", "tolerance"), FORMATS)
def test_every_format_gives_the_same_waveform(tmp_path, format_, subtype, ending, tolerance):
    if subtype not in soundfile.available_subtypes(format_):
        pytest.skip(f"this libsndfile does not write {format_} {subtype}")
    expected = sine(4800, 16_000, hz=440.0)
    path = tmp_path / f"x.{ending}"
    soundfile.write(path, expected, 16_000, format=format_, subtype=subtype)

    waveform = audio.load(path)

    assert waveform.dtype == np.float32
    assert waveform.shape == expected.shape
    np.testing.assert_allclose(waveform, expected, rtol=0, atol=tolerance)


@given(samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_int16_is_exactly_k_over_32768(tmp_path_factory, samples):
    path = tmp_path_factory.mktemp("int16") / "x.wav"
    path.write_bytes(wav_bytes(np.array(samples)))
    np.testing.assert_array_equal(audio.load(path), np.array(samples) / 32768)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_channels_are_averaged(tmp_path, channels):
    samples = np.random.default_rng(0).uniform(-1, 1, (300, channels)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(
        audio.load(tmp_path / "x.wav"), samples.astype(np.float64).mean(axis=1), atol=1e-7
    )


@pytest.mark.parametrize("source_rate", [8_000, 11_025, 22_050, 24_414, 44_100, 48_000, 96_000])
def test_resampling_keeps_pitch_amplitude_and_duration(tmp_path, source_rate):
    soundfile.write(
        tmp_path / "x.wav", sine(source_rate, source_rate), source_rate, subtype="FLOAT"
    )
    waveform = audio.load(tmp_path / "x.wav", 16_000)
    assert abs(len(waveform) - 16_000) <= 1
    inner = slice(1600, 14_400)  # away from the ends, where the filter reaches into the silence
    expected = sine(16_000, 16_000)
    np.testing.assert_allclose(waveform[inner], expected[inner], atol=1e-3)


def test_target_rate_may_be_higher(tmp_path):
    soundfile.write(tmp_path / "x.wav", sine(999, 8_000), 8_000)
    assert abs(len(audio.load(tmp_path / "x.wav", 22_050)) - round(999 * 22_050 / 8_000)) <= 1


def test_overshoot_of_resampling_is_clipped(tmp_path):
    square = np.where(np.arange(4800) // 24 % 2, 1.0, -1.0)
    soundfile.write(tmp_path / "x.wav", square, 48_000, subtype="FLOAT")
    assert np.abs(audio.load(tmp_path / "x.wav")).max() == 1.0


def test_float_overshoot_is_clipped_and_another_scale_refused(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.array([0.5, 1.25, -1.5]), 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(audio.load(path), [0.5, 1.0, -1.0])
    soundfile.write(path, np.array([0.5, 1200.0]), 16_000, subtype="FLOAT")
    assert reason(path) == "samples reach 1200, expected [-1, 1]; rescale the file"


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_segment_equals_the_same_segment_of_the_whole(tmp_path, ending):
    path = tmp_path / f"x.{ending}"
    soundfile.write(path, sine(48_000, 16_000, hz=440.0) * np.linspace(0, 1, 48_000), 16_000)
    whole = audio.load(path)
    for start, end, first, last in [
        (0.5, 1.25, 8_000, 20_000),
        (None, 1.0, 0, 16_000),
        (2.5, None, 40_000, 48_000),
        (2.5, 3.0004, 40_000, 48_000),  # an annotation rounded past the end
    ]:
        segment = audio.load(path, start=start, end=end)
        np.testing.assert_allclose(segment, whole[first:last], atol=1e-6)


def test_segment_is_read_by_seeking(tmp_path, monkeypatch):
    path = tmp_path / "x.wav"
    soundfile.write(path, sine(160_000, 16_000), 16_000)
    requested_frames = []
    read = soundfile.SoundFile.read

    def spy(self, frames=-1, **options):
        requested_frames.append(frames)
        return read(self, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", spy)
    audio.load(path, start=9.0, end=9.5)
    assert requested_frames == [8_000]


@pytest.mark.parametrize(
    ("start", "end"),
    [(-0.1, 0.5), (0.5, 0.5), (0.6, 0.5), (0.0, 1.1), (1.5, 2.0), (float("nan"), 0.5)],
)
def test_segment_outside_the_recording(tmp_path, start, end):
    soundfile.write(tmp_path / "x.wav", sine(16_000, 16_000), 16_000)
    expected = f"no segment from {start:g} s to {end:g} s, the recording lasts 1 s"
    assert reason(tmp_path / "x.wav", start=start, end=end) == expected


def test_segment_shorter_than_a_sample(tmp_path):
    soundfile.write(tmp_path / "x.wav", sine(16_000, 16_000), 16_000)
    message = reason(tmp_path / "x.wav", start=0.5, end=0.50001)
    assert message == "the segment from 0.5 s to 0.50001 s has no samples"


def test_chunks_before_the_samples(tmp_path):
    """RAVDESS has a filler chunk; an odd length is padded by a byte that is not counted."""
    samples = np.arange(100) - 50
    chunks = (
        b"FLLR" + struct.pack("<I", 4044) + bytes(4044) + b"note" + struct.pack("<I", 3) + bytes(4)
    )
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(samples, before=chunks))
    np.testing.assert_array_equal(audio.load(path), samples / 32768)
    path.write_bytes(wav_bytes(samples, before=chunks)[:-10])
    assert reason(path).startswith(
        "is truncated: its header promises 200 bytes of samples, has 190"
    )


@pytest.mark.parametrize("data_bytes", [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_streamed_wav_is_read_to_its_end(tmp_path, data_bytes):
    """A writer that could not seek back to its header left a placeholder there."""
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(np.arange(100), data_bytes=data_bytes))
    np.testing.assert_array_equal(audio.load(path), np.arange(100) / 32768)


# --- Formats that ffmpeg decodes -----------------------------------------------------------------


@pytest.mark.parametrize(("ending", "tolerance"), [("m4a", 0.005), ("aac", 0.005), ("wma", 0.03)])
def test_format_that_libsndfile_cannot_read(tmp_path, ending, tolerance):
    expected = sine(16_000, 16_000, hz=440.0) * np.linspace(0, 1, 16_000, dtype=np.float32)
    path = encode(tmp_path / f"x.{ending}", expected, 16_000, "-b:a", "128k")
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        warnings.simplefilter("error", UserWarning)
        waveform = audio.load(path)
    assert waveform.dtype == np.float32
    assert audio.header(path) == (16_000, 1)
    # The codecs shift the signal by up to 2,112 samples, their own delay; packets are whole.
    assert abs(len(waveform) - 16_000) <= 3_200
    inner = expected[4_000:12_000]
    windows = np.lib.stride_tricks.sliding_window_view(waveform, len(inner))
    differences = np.abs(windows - inner).max(axis=1)
    assert differences.min() < tolerance
    assert abs(differences.argmin() - 4_000) <= 2_112


def test_ffmpeg_suffix_in_capitals(tmp_path):
    path = encode(tmp_path / "x.m4a", sine(8_000, 16_000), 16_000)
    whole = audio.load(path)
    np.testing.assert_array_equal(audio.load(path.rename(tmp_path / "x.M4A")), whole)


def test_decoded_channels_are_averaged_and_resampled(tmp_path):
    left = sine(44_100, 44_100, hz=440.0)
    path = encode(tmp_path / "x.m4a", np.stack([left, np.zeros_like(left)], 1), 44_100)
    waveform = audio.load(path)
    assert audio.header(path) == (44_100, 2)
    assert abs(len(waveform) - 16_000) <= 1_024
    expected = sine(16_000, 16_000, hz=440.0) / 2
    np.testing.assert_allclose(waveform[1600:14_400], expected[1600:14_400], atol=0.01)


def test_decoded_segment_equals_the_same_segment_of_the_whole(tmp_path):
    path = encode(tmp_path / "x.m4a", sine(48_000, 16_000, hz=440.0), 16_000)
    whole = audio.load(path)
    for start, end, first, last in [
        (0.5, 1.25, 8_000, 20_000),
        (None, 1.0, 0, 16_000),
        (2.5, None, 40_000, len(whole)),
    ]:
        segment = audio.load(path, start=start, end=end)
        np.testing.assert_array_equal(segment, whole[first:last])
    message = reason(path, start=0.0, end=4.0)
    assert message.startswith("no segment from 0 s to 4 s, the recording lasts 3")


def test_truncated_decoded_file(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)
    # The index at the start, as on the web: what is there can be decoded.
    path = encode(tmp_path / "x.m4a", samples, 16_000, "-movflags", "+faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert reason(path).startswith("is truncated: its header promises ")
    # The index at the end, which is cut off.
    path = encode(tmp_path / "y.m4a", samples, 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert reason(path).startswith("is truncated: its header promises ")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg: https://ffmpeg.org")
def test_not_audio_for_ffmpeg(tmp_path):
    (tmp_path / "x.m4a").write_bytes(b"path,emotion\n" * 100)
    message = reason(tmp_path / "x.m4a")
    assert message.startswith("is not audio that libsndfile or ffmpeg reads (")


@pytest.mark.parametrize("ending", ["m4a", "aac", "wma"])
@pytest.mark.parametrize("function", [audio.load, audio.header])
def test_no_decoder(tmp_path, monkeypatch, ending, function):
    monkeypatch.setenv("PATH", "")
    path = tmp_path / f"x.{ending}"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(audio.AudioError) as caught:
        function(path)
    assert str(caught.value) == (
        f"{path}: expected a decoder of .{ending} files on this machine, found none; "
        "install ffmpeg (https://ffmpeg.org), or convert the file to WAV or FLAC"
    )


def test_wav_under_another_name_needs_no_decoder(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "x.m4a").write_bytes(wav_bytes(np.arange(100)))
    np.testing.assert_array_equal(audio.load(tmp_path / "x.m4a"), np.arange(100) / 32768)
    assert audio.header(tmp_path / "x.m4a") == (16_000, 1)


# --- Files that are refused ----------------------------------------------------------------------


def test_missing_file(tmp_path):
    assert reason(tmp_path / "x.wav") == "no such file"


def test_directory(tmp_path):
    assert reason(tmp_path) == "is a directory, expected an audio file"


def test_empty_file(tmp_path):
    (tmp_path / "x.wav").touch()
    assert reason(tmp_path / "x.wav") == "is empty (0 bytes)"


@pytest.mark.parametrize("ending", ["wav", "aiff", "au"])
def test_header_without_samples(tmp_path, ending):
    soundfile.write(tmp_path / f"x.{ending}", np.zeros(0), 16_000)
    assert reason(tmp_path / f"x.{ending}") == "has no samples"


def test_wav_that_was_never_finished(tmp_path):
    (tmp_path / "x.wav").write_bytes(wav_bytes(np.arange(100), data_bytes=0))
    assert reason(tmp_path / "x.wav") == "has no samples"


@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.raw", "x"])
def test_not_audio(tmp_path, name):
    (tmp_path / name).write_bytes(b"path,emotion\n" * 100)
    assert reason(tmp_path / name).startswith("is not audio that libsndfile reads (")


def test_git_lfs_pointer(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 70764\n"
    (tmp_path / "1001_DFA_ANG_XX.wav").write_bytes(pointer)
    message = reason(tmp_path / "1001_DFA_ANG_XX.wav")
    assert "git-lfs pointer" in message
    assert "`git lfs pull`" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path, value):
    samples = np.zeros((100, 2), np.float32)
    samples[70, 1] = value
    soundfile.write(tmp_path / "x.wav", samples, 16_000, subtype="FLOAT")
    assert reason(tmp_path / "x.wav") == f"sample 70 is {value}, expected finite samples"


def test_too_short_for_the_rate(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros(1), 48_000)
    assert reason(tmp_path / "x.wav") == "1 samples at 48000 Hz are none at 16000 Hz"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX")
def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(np.arange(3)))

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert reason(path) == "cannot be read (Permission denied)"


def test_sample_rate_is_positive(tmp_path):
    with pytest.raises(ValueError, match="sample_rate must be positive, found 0"):
        audio.load(tmp_path / "x.wav", 0)


@pytest.mark.corpus
def test_real_recordings(emodb_directory):
    paths = sorted(emodb_directory.rglob("*.wav"))[:20]
    assert paths
    for path in paths:
        samples, rate = soundfile.read(path)
        np.testing.assert_array_equal(audio.load(path, rate), samples.astype(np.float32))


@pytest.mark.corpus
def test_real_recordings_at_another_rate(ravdess_directory):
    paths = sorted(path for path in ravdess_directory.rglob("03-*") if path.is_file())[:20]
    assert paths
    for path in paths:
        seconds = soundfile.info(path).duration
        assert abs(len(audio.load(path)) - round(16_000 * seconds)) <= 1
