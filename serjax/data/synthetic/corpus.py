"""The bundled synthetic corpus: speech-like sound with emotions, generated from a seed.

It serves a first run of the library, tests, and experiments with known confounders, such as an
emotion that correlates with a word. **It is not evidence about real speech**: its emotions consist
of the cues below only, and a model that recognizes them has learned these cues.

Anger, happiness and sadness differ from neutral speech in the directions that reviews of acted and
natural emotional speech agree on:

- R. Banse and K. R. Scherer, "Acoustic profiles in vocal emotion expression", J. Pers. Soc.
  Psychol. 70(3):614-636, 1996;
- P. N. Juslin and P. Laukka, "Communication of emotions in vocal expression and music
  performance", Psychol. Bull. 129(5):770-814, 2003: anger fast, loud, bright, high and varied in
  pitch, with abrupt onsets and an irregular voice; happiness much the same but less loud and
  bright, rising and regular; sadness slow, soft, dull, low and even in pitch, with slow onsets,
  falling and irregular;
- K. R. Scherer, "Vocal communication of emotion", Speech Commun. 40(1-2):227-256, 2003;
- I. R. Murray and J. L. Arnott, "Toward the simulation of emotion in synthetic speech", J. Acoust.
  Soc. Am. 93(2):1097-1108, 1993.

The sizes of the differences are chosen by us. Portrayals differ in strength, speakers in pitch,
tempo, brightness and loudness, recordings in gain and noise. `variation` scales the differences,
and with them the overlap of the classes.
"""

import itertools
import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import soxr

from serjax.data.corpus import Corpus, CorpusError, Reader, Utterance
from serjax.data.registry import register
from serjax.data.synthetic.speech import (
    CONSONANTS,
    SAMPLE_RATE,
    SYLLABLES,
    VOWELS,
    Manner,
    Phrase,
    synthesize,
)

EMOTIONS = ("anger", "happiness", "neutral", "sadness")

# One row per emotion: F0 (semitones), F0 range (semitones), F0 at the end (semitones), rate
# (relative), level (dB), accents (dB), tilt (dB per octave), jitter, breathiness, attack.
_CUES = np.array(
    [
        [4.5, 3.0, 1.2, 1.22, 9.0, 5.8, 4.5, 0.040, 0.025, 1.0],
        [7.5, 5.4, 5.0, 1.12, 6.0, 3.5, 1.2, 0.003, 0.055, 1.0],
        [0.0, 1.8, -1.0, 1.00, 0.0, 2.0, 0.0, 0.008, 0.04, 0.5],
        [-1.5, 0.7, -3.2, 0.70, -6.0, 0.5, -3.0, 0.020, 0.11, 0.0],
    ],
    np.float32,
)
_NEUTRAL = EMOTIONS.index("neutral")

# Standard deviations of the same cues at a variation of 1, between utterances of one emotion and
# between the means of speakers; of the logarithm for range, rate, jitter and breathiness.
_UTTERANCE_DEVIATION = np.array([1.2, 0.2, 0.8, 0.07, 2.0, 0.6, 0.6, 0.3, 0.3, 0.15], np.float32)
_SPEAKER_DEVIATION = np.array([1.5, 0.15, 0.4, 0.06, 2.0, 0.3, 0.6, 0.2, 0.3, 0.1], np.float32)
_IS_RATIO = np.array([0, 1, 0, 1, 0, 0, 0, 1, 1, 0], bool)

# Peterson and Barney's speakers: women's voices lie 9 semitones above men's, their formants 1/6.
_F0_HZ = np.array([130.0, 220.0], np.float32)
_FORMANT_SCALE = np.array([1.0, 1.165], np.float32)
_SYLLABLES_PER_SECOND = 3.6

_CHUNK = 32


class _Factors(NamedTuple):
    """Factors that identify an utterance."""

    speaker: int
    word: int
    emotion: int
    take: int


class _Take(NamedTuple):
    """Random values of an utterance: scalars, or arrays of them in a batch.

    Attributes:
        key_seed: Seed of the perturbations and noises of the signal, uint32.
        manner: Manner of speaking.
        phrase: Spoken word.
        noise_db: Level of the room noise relative to ordinary speech, float32, in dB.
        gain_db: Gain of the recording, float32, in dB.
    """

    key_seed: np.uint32
    manner: Manner
    phrase: Phrase
    noise_db: np.float32
    gain_db: np.float32


@register("synthetic", takes_data_dir=False)
def load(
    seed: int = 0,
    speakers: int = 20,
    words: int = 8,
    takes: int = 1,
    variation: float = 0.5,
    correlate: str | None = None,
    correlation: float = 0.9,
) -> Corpus:
    """Describes a corpus of `speakers * words * takes` utterances of each of `EMOTIONS`.

    Utterances last 1.2 to 3 s. A "word" has 4 to 6 syllables, the same for all speakers. Speakers
    are alternately male- and female-like. The first `read` generates all waveforms, in some
    seconds, on JAX's default device. An utterance depends only on the seed, the variation and its
    name, not on the size of the corpus. Up to rounding it is the same on every device.

    The session is a fixed assignment of the speakers for the split `predefined`: the first 60 % of
    the speakers are "train", the next 20 % "validation", the last 20 % "test".

    With `correlate`, every word (or speaker) of the training session has its own emotion, and the
    fraction `correlation` of its utterances of the other emotions is spoken in this emotion
    instead. In the validation and test sets, all emotions remain equally frequent with all words
    and speakers: a model that has learned the word (or speaker) instead of the emotion fails there.
    Use the split `predefined`.

    >>> from serjax import data
    >>> data.load("synthetic", speakers=3, words=2).labels("emotion")
    ['anger', 'happiness', 'neutral', 'sadness']

    Args:
        seed: Seed of words, speakers and all variation, in [0, 2**32).
        speakers: Number of speakers, at least 3.
        words: Number of words, at least 1. With `correlate="word"` the classes are balanced if it
            is a multiple of 4, and with "speaker" if the number of training speakers is.
        takes: Number of utterances of each speaker, word and emotion, at least 1.
        variation: Difference between speakers and between their utterances of one emotion, 0 or
            more. At 1 the classes overlap well.
        correlate: Factor that correlates with the emotion: "speaker", "word" or None.
        correlation: Strength from 0 (the same as without `correlate`) to 1 (one emotion per word or
            speaker).

    Returns:
        The corpus. Its paths are such as "synthetic/s03_w2_anger_1.wav": speaker, word, emotion,
        take.

    Raises:
        CorpusError: An argument is out of range.
    """
    for name, value, least in (("speakers", speakers, 3), ("words", words, 1), ("takes", takes, 1)):
        if value < least:
            raise CorpusError(f"synthetic: {name} must be at least {least}; found {value}")
    if correlate not in (None, "speaker", "word"):
        raise CorpusError(
            f"synthetic: correlate must be 'speaker', 'word' or None; found {correlate!r}"
        )
    if not 0 <= correlation <= 1:
        raise CorpusError(f"synthetic: correlation must be in [0, 1]; found {correlation}")
    if not 0 <= variation < float("inf"):
        raise CorpusError(f"synthetic: variation must be finite and 0 or more; found {variation}")
    if not 0 <= seed < 2**32:
        raise CorpusError(f"synthetic: seed must be in [0, 2**32); found {seed}")

    sessions = _sessions(speakers)
    others = sessions.count("train") if correlate == "word" else words
    factors = {}
    take_counts: dict[tuple[int, int, int], int] = {}
    slots = itertools.product(range(len(EMOTIONS)), range(speakers), range(words), range(takes))
    for emotion, speaker, word, take in slots:
        if correlate is not None and sessions[speaker] == "train":
            value, other = (word, speaker) if correlate == "word" else (speaker, word)
            # Utterances of this value and emotion change where the running sum of `correlation`
            # passes a whole number, so the fraction is exact to one utterance. Every value and
            # emotion starts at another offset; otherwise the same speakers or words never change.
            n = (other * takes + take + 5 * value + 3 * emotion) % (others * takes)
            if int((n + 1) * correlation + 0.5) > int(n * correlation + 0.5):
                emotion = value % len(EMOTIONS)
        triple = speaker, word, emotion
        number = take_counts[triple] = take_counts.get(triple, 0) + 1
        path = f"synthetic/s{speaker:02d}_w{word}_{EMOTIONS[emotion]}_{number}.wav"
        factors[path] = _Factors(speaker, word, emotion, number)

    utterances = tuple(
        Utterance(
            path,
            emotion=EMOTIONS[f.emotion],
            speaker=f"s{f.speaker:02d}",
            text=f"w{f.word}",
            session=sessions[f.speaker],
        )
        for path, f in factors.items()
    )
    return Corpus("synthetic", utterances, _reader(seed, variation, factors))


def _sessions(speakers: int) -> list[str]:
    """Returns the session of each speaker; every session has a speaker."""
    train = min(max(round(0.6 * speakers), 1), speakers - 2)
    validation = max(round(0.2 * speakers), 1)
    sessions = ["train"] * train + ["validation"] * validation + ["test"] * speakers
    return sessions[:speakers]


def _reader(seed: int, variation: float, factors: dict[str, _Factors]) -> Reader:
    """Returns the `read` of the corpus. Its first call, in any thread, generates all waveforms."""
    lock = threading.Lock()
    generated: dict[str, np.ndarray] = {}

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        with lock:
            if not generated:
                waveforms = _generate(seed, variation, list(factors.values()))
                generated.update(zip(factors, waveforms, strict=True))
        waveform = generated[utterance.path]
        if sample_rate == SAMPLE_RATE:
            return waveform.copy()
        resampled = soxr.resample(waveform, SAMPLE_RATE, sample_rate)
        return np.clip(resampled, -1.0, 1.0).astype(np.float32)

    return read


def _generate(seed: int, variation: float, factors: list[_Factors]) -> list[np.ndarray]:
    """Returns the waveform of each utterance, float32 [samples] in (-1, 1)."""
    waveforms = []
    for begin in range(0, len(factors), _CHUNK):
        rows = factors[begin : begin + _CHUNK]
        # The last chunk is padded, so that all chunks have the same compiled shape.
        takes = [_take(seed, variation, rows[i % len(rows)]) for i in range(_CHUNK)]
        batch = jax.tree.map(lambda *leaves: np.stack(leaves), *takes)
        samples, lengths = jax.device_get(_record_all(batch))
        waveforms += [samples[i, : lengths[i]].copy() for i in range(len(rows))]
    return waveforms


# The factors are sampled with NumPy: they are few, and JAX would spend more time compiling their
# generators than generating all the sound.


def _take(seed: int, variation: float, factors: _Factors) -> _Take:
    """Samples the random values of an utterance, which depend only on the seed and its factors."""
    rng = np.random.default_rng([seed, 0, *factors])
    return _Take(
        key_seed=rng.integers(2**32, dtype=np.uint32),
        manner=_manner(rng, seed, variation, factors),
        phrase=_phrase(seed, factors.word),
        noise_db=np.float32(rng.uniform(-45.0, -28.0)),
        gain_db=np.float32(rng.uniform(-12.0, 0.0)),
    )


def _manner(rng: np.random.Generator, seed: int, variation: float, factors: _Factors) -> Manner:
    """Samples the manner in which a speaker speaks an utterance with an emotion."""
    speaker_rng = np.random.default_rng([seed, 1, factors.speaker])
    speaker = variation * _SPEAKER_DEVIATION * speaker_rng.standard_normal(len(_IS_RATIO))
    tract = np.exp(0.04 * speaker_rng.standard_normal())
    neutral, emotion = (_logarithm(_CUES[i]) for i in (_NEUTRAL, factors.emotion))
    strength = rng.uniform(0.8, 1.2)
    utterance = variation * _UTTERANCE_DEVIATION * rng.standard_normal(len(_IS_RATIO))
    cues = neutral + strength * (emotion - neutral) + speaker + utterance
    cues[_IS_RATIO] = np.exp(cues[_IS_RATIO])

    f0, f0_range, f0_end, rate, level, accent, tilt, jitter, breathiness, attack = cues
    sex = factors.speaker % 2
    manner = Manner(
        f0_hz=_F0_HZ[sex] * 2 ** (f0 / 12),
        f0_range_semitones=f0_range,
        f0_end_semitones=f0_end,
        rate=_SYLLABLES_PER_SECOND * rate,
        level_db=level,
        accent_db=accent,
        tilt_db=tilt,
        jitter=jitter,
        breathiness=breathiness,
        attack=np.clip(attack, 0.0, 1.0),
        formant_scale=_FORMANT_SCALE[sex] * tract,
        pauses=rng.uniform(0.1, 0.2, 2),
    )
    return Manner(*(np.asarray(value, np.float32) for value in manner))


def _logarithm(cues: np.ndarray) -> np.ndarray:
    """Returns a row of cues with the logarithm of those that vary in proportion."""
    result = cues.astype(np.float64)
    result[_IS_RATIO] = np.log(result[_IS_RATIO])
    return result


def _phrase(seed: int, word: int) -> Phrase:
    """Samples a word of 4 to `SYLLABLES` syllables."""
    rng = np.random.default_rng([seed, 2, word])
    count = rng.integers(4, SYLLABLES + 1)
    spoken = np.arange(SYLLABLES) < count
    lengths = rng.uniform(0.75, 1.25, SYLLABLES)
    lengths[count - 1] *= 1.3  # the last syllable is lengthened
    accents = rng.standard_normal(SYLLABLES)
    accents = (accents - accents[spoken].mean()) / accents[spoken].std()
    return Phrase(
        consonants=rng.integers(CONSONANTS, size=SYLLABLES, dtype=np.int32),
        vowels=rng.integers(VOWELS, size=SYLLABLES, dtype=np.int32),
        lengths=np.where(spoken, lengths, 0).astype(np.float32),
        accents=np.where(spoken, accents, 0).astype(np.float32),
    )


def _record(take: _Take) -> tuple[jax.Array, jax.Array]:
    """Returns an utterance spoken in a room, float32 [samples], and its length in samples."""
    speech_key, noise_key = jax.random.split(jax.random.key(take.key_seed))
    waveform, length = synthesize(speech_key, take.manner, take.phrase)
    # Uniform noise of RMS 1. The mean of neighbouring samples makes it duller, as rooms do.
    noise = jax.random.uniform(noise_key, waveform.shape, minval=-1.0, maxval=1.0) * 3**0.5
    noise = (noise + jnp.roll(noise, 1)) * 0.5**0.5
    waveform = waveform + 0.05 * 10 ** (take.noise_db / 20) * noise
    # The gain is reduced where the recording would clip.
    waveform *= jnp.minimum(10 ** (take.gain_db / 20), 0.95 / jnp.max(jnp.abs(waveform)))
    return waveform, length


_record_all = jax.jit(jax.vmap(_record))
