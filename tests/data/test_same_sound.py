"""Copies of a recording are recognized, and different recordings are told apart."""

import numpy as np
import pytest
import soundfile
import soxr

from serjax import audio, data
from serjax.data import splits
from serjax.data.splits import SplitError

RATE = 16_000


@pytest.fixture(scope="module")
def speech():
    """The same words by the same speakers in different emotions and takes."""
    corpus = data.load("synthetic", speakers=3, words=1)
    return data.waveforms(corpus)[1]


def sounds(waveforms, rate=RATE):
    ids = [splits.content_id(waveform, rate) for waveform in waveforms]
    return splits.same_sound(ids, waveforms.__getitem__, rate).tolist()


def coded(tmp_path, waveform, ending, rate=RATE, **options):
    path = tmp_path / f"x.{ending}"
    if rate != RATE:
        waveform = soxr.resample(waveform, RATE, rate)
    soundfile.write(path, waveform, rate, **options)
    return audio.load(path)


COPIES = {
    "flac": lambda tmp_path, w: coded(tmp_path, w, "flac"),
    "mp3": lambda tmp_path, w: coded(tmp_path, w, "mp3"),
    "vorbis": lambda tmp_path, w: coded(tmp_path, w, "ogg"),
    "opus": lambda tmp_path, w: coded(tmp_path, w, "opus", format="OGG", subtype="OPUS"),
    "mu-law at 8 kHz": lambda tmp_path, w: coded(tmp_path, w, "wav", 8_000, subtype="ULAW"),
    "44.1 kHz": lambda tmp_path, w: coded(tmp_path, w, "wav", 44_100),
    "quiet": lambda tmp_path, w: coded(tmp_path, w * np.float32(0.01), "wav"),
    "inverted": lambda tmp_path, w: -w,
    "offset": lambda tmp_path, w: w * np.float32(0.5) + np.float32(0.2),
    "delayed": lambda tmp_path, w: np.concatenate([np.zeros(2_112, np.float32), w]),
    "padded": lambda tmp_path, w: np.concatenate([w, np.zeros(5_000, np.float32)]),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_the_same_sound(tmp_path, speech, copy):
    copies = [COPIES[copy](tmp_path, waveform) for waveform in speech]
    numbers = sounds([*speech, *copies])
    assert numbers[: len(speech)] == list(range(len(speech)))
    assert numbers[len(speech) :] == numbers[: len(speech)]


def noise(seed, samples=8_000):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def tone(seed):
    """The same pitch and loudness; only the noise differs."""
    time = np.arange(8_000) / RATE
    loudness = np.sin(2 * np.pi * 2 * time)
    return (0.3 * loudness * np.sin(2 * np.pi * 200 * time)).astype(np.float32) + 0.1 * noise(seed)


def harmonics(seed):
    """A voice of nearly the same pitch, with vibrato, on weak noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(8_000) / RATE
    hz = 180 * (1 + 0.1 * generator.random()) + 20 * np.sin(2 * np.pi * 4 * time)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    voice = sum(np.sin(k * phase) / k for k in (1, 2, 3))
    loudness = 0.6 + 0.4 * np.sin(2 * np.pi * (2 + generator.random()) * time)
    return (0.3 * voice * loudness + 0.015 * generator.standard_normal(8_000)).astype(np.float32)


@pytest.mark.parametrize("make", [noise, tone, harmonics])
def test_different_recordings_of_a_kind(make):
    assert sounds([make(seed) for seed in range(40)]) == list(range(40))


def test_same_tones_with_other_noise_are_candidates_only(monkeypatch):
    """The waveforms decide: the fingerprints of these are alike."""
    from serjax.data.splits import fingerprint

    waveforms = [tone(seed) for seed in range(6)]
    monkeypatch.setattr(fingerprint, "_MIN_CORRELATION", -1.0)
    assert sounds(waveforms) == [0] * 6


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silence_is_no_sound(value):
    silent = np.full(8_000, value, np.float32)
    assert sounds([silent, noise(0), silent, silent[:5], noise(0), silent[:0]]) == [
        0,
        1,
        2,
        3,
        1,
        4,
    ]


@pytest.mark.parametrize("samples", [1, 2, 20, 150, 700])
@pytest.mark.parametrize("rate", [1_000, 16_000, 192_000])
def test_short_recordings(samples, rate):
    """Without a fingerprint, equal samples are the same sound."""
    first, second = (noise(seed, samples + 1) for seed in range(2))
    assert sounds([first, second, first], rate) == [0, 1, 0]


def test_many_are_compared_by_their_samples_only(monkeypatch):
    from serjax.data.splits import fingerprint

    monkeypatch.setattr(fingerprint, "_MOST_COMPARED", 2)
    waveforms = [noise(0), noise(1), noise(0) / 2, noise(1)]
    assert sounds(waveforms) == [0, 1, 2, 1]


def test_copies_are_in_the_same_set(tmp_path):
    """A folder with a copy of each recording in another format."""
    for emotion in ("anger", "sadness"):
        (tmp_path / emotion).mkdir()
        for i in range(6):
            waveform = noise(100 * len(emotion) + i)
            soundfile.write(tmp_path / emotion / f"{i}.wav", waveform, RATE)
            soundfile.write(tmp_path / emotion / f"copy of {i}.ogg", waveform, RATE)
    corpus = data.load("folder", tmp_path)
    waveforms = data.waveforms(corpus)[1]
    content = sounds(waveforms)
    split = splits.split(corpus, "random", content=content)
    for indices in (split.train, split.validation, split.test):
        names = [corpus.utterances[i].path.rsplit(".", 1)[0] for i in indices]
        originals = {name.replace("copy of ", "") for name in names}
        assert len(names) == 2 * len(originals)


def test_refusal_names_the_recordings():
    utterances = [data.Utterance(f"{i}.wav", "ab"[i % 2], str(i % 3)) for i in range(12)]
    corpus = data.Corpus("c", tuple(utterances), lambda *_: noise(0))
    with pytest.raises(SplitError, match=r"such as 0\.wav and 1\.wav, tie the speakers"):
        splits.split(corpus, "speaker", content=[0] * 12)


def test_silent_recordings_tie_no_speakers():
    utterances = [data.Utterance(f"{i:02d}.wav", "ab"[i % 2], str(i // 4)) for i in range(24)]
    corpus = data.Corpus("c", tuple(utterances), lambda *_: noise(0))
    content = sounds([np.zeros(100, np.float32)] * 24)
    split = splits.split(corpus, "speaker", content=content)
    assert len(split.test)
