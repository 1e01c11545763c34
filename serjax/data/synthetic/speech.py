"""A small source-filter synthesizer of speech-like sound, for the bundled synthetic corpus.

A train of glottal pulses and a noise are filtered, one 20 ms frame at a time, by the resonances of
a vocal tract that moves from consonant to vowel. The synthesizer is a pure function of a key, a
`Manner` and a `Phrase` of fixed shapes, so a batch of utterances is one `jax.vmap`.

The all-pole cascade and its resonator are those of D. H. Klatt, "Software for a cascade/parallel
formant synthesizer", J. Acoust. Soc. Am. 67(3):971-995, 1980. The vowels are the averages over men
of G. E. Peterson and H. L. Barney, "Control methods used in a study of the vowels", J. Acoust. Soc.
Am. 24(2):175-184, 1952. The consonants are round values, chosen to look and sound distinct.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array | np.ndarray

SAMPLE_RATE = 16000
SYLLABLES = 6
MIN_SECONDS = 1.2
MAX_SECONDS = 3.0

_HOP = 160
_FFT = 4 * _HOP  # a 2-hop window, and as much again for the resonances to ring out
_FRAMES = round(MAX_SECONDS * SAMPLE_RATE / _HOP) + 2
_F0_STEP = 80  # pitch is perturbed every 5 ms, about the period of a voice
_FRAME_SECONDS = _HOP / SAMPLE_RATE

# F1, F2, F3 in Hz: heed, hid, head, had, hod, hawed, hood, who'd, hud, heard.
_VOWELS = np.array(
    [
        [270, 2290, 3010],
        [390, 1990, 2550],
        [530, 1840, 2480],
        [660, 1720, 2410],
        [730, 1090, 2440],
        [570, 840, 2410],
        [440, 1020, 2240],
        [300, 870, 2240],
        [640, 1190, 2390],
        [490, 1350, 1690],
    ],
    np.float32,
)
VOWELS = len(_VOWELS)

# Start of the formants (Hz); voicing; noise level, its centre and half width (Hz); duration (s);
# fraction of the duration that is silent closure before the noise.
_CONSONANTS = np.array(
    [
        [300, 900, 2300, 0.0, 0.5, 1000, 700, 0.09, 0.75],  # p
        [300, 1800, 2700, 0.0, 0.8, 4200, 1400, 0.09, 0.70],  # t
        [300, 2200, 2600, 0.0, 0.7, 2100, 700, 0.10, 0.65],  # k
        [320, 1700, 2600, 0.0, 0.7, 5800, 1200, 0.12, 0.00],  # s
        [320, 1900, 2500, 0.0, 0.8, 3200, 900, 0.12, 0.00],  # sh
        [270, 1000, 2200, 0.35, 0.0, 1000, 500, 0.08, 0.00],  # m
        [270, 1700, 2600, 0.35, 0.0, 1000, 500, 0.08, 0.00],  # n
        [360, 900, 2500, 0.60, 0.0, 1000, 500, 0.07, 0.00],  # l
    ],
    np.float32,
)
CONSONANTS = len(_CONSONANTS)

# Above F3 a uniform tube of 17.5 cm, the length of a man's vocal tract, resonates every 1000 Hz.
# F7 of a shorter tract is limited to below the Nyquist frequency, where it would cause an alias.
_UPPER_FORMANTS_HZ = np.arange(3500, 7000, 1000, dtype=np.float32)
_MAX_FORMANT_HZ = 7600
_BANDWIDTHS_HZ = np.array([70, 100, 150, 220, 280, 340, 400], np.float32)


class Manner(NamedTuple):
    """Manner of speaking of an utterance: float32 scalars, except the last.

    Attributes:
        f0_hz: Mean fundamental frequency.
        f0_range_semitones: Standard deviation of the accents around it.
        f0_end_semitones: Rise over the last third; negative values fall.
        rate: Syllables per second.
        level_db: Loudness relative to ordinary speech.
        accent_db: Level of accented syllables relative to the others.
        tilt_db: Spectral slope of the voice per octave; 0 is a modal voice, positive brighter.
        jitter: Standard deviation of the perturbation of F0 per 5 ms, relative.
        breathiness: Level of breath noise relative to the voice.
        attack: Abruptness of the onsets of syllables, from 0 (slow) to 1 (abrupt).
        formant_scale: Formants relative to an average man's, the inverse of the tract length.
        pauses: Silence before and after the speech, in seconds, [2].
    """

    f0_hz: Array
    f0_range_semitones: Array
    f0_end_semitones: Array
    rate: Array
    level_db: Array
    accent_db: Array
    tilt_db: Array
    jitter: Array
    breathiness: Array
    attack: Array
    formant_scale: Array
    pauses: Array


class Phrase(NamedTuple):
    """Spoken text: up to `SYLLABLES` syllables of a consonant and a vowel.

    Attributes:
        consonants: int32 [SYLLABLES] in [0, CONSONANTS).
        vowels: int32 [SYLLABLES] in [0, VOWELS).
        lengths: float32 [SYLLABLES], durations relative to the mean; 0 where there is no syllable.
        accents: float32 [SYLLABLES], prominence with mean 0 and standard deviation 1.
    """

    consonants: Array
    vowels: Array
    lengths: Array
    accents: Array


def synthesize(key: jax.Array, manner: Manner, phrase: Phrase) -> tuple[jax.Array, jax.Array]:
    """Synthesizes a phrase.

    Args:
        key: PRNG key for the perturbations of the voice and the noise of breath and consonants.
        manner: Manner of speaking.
        phrase: Spoken text.

    Returns:
        The waveform at `SAMPLE_RATE`, float32 [samples] of a fixed size, with RMS 0.05 over the
        speech at a level of 0 dB; and the number of samples of the utterance, int32, between
        `MIN_SECONDS` and `MAX_SECONDS`. The samples past the utterance are silence.
    """
    tracks, seconds = _articulate(manner, phrase)
    samples = _FRAMES * _HOP
    steps = samples // _F0_STEP + 1
    noise = jax.random.uniform(key, (samples + steps,), minval=-1.0, maxval=1.0)
    breath, perturbation = noise[:samples], noise[samples:] * 3**0.5  # of variance 1
    voice = _voice(tracks.f0_hz, 1 + manner.jitter * perturbation)
    waveform = _overlap_add(_spectra(voice, breath, tracks, manner))

    spoken = jnp.repeat(tracks.speaking, _HOP)
    power = jnp.sum(spoken * waveform**2) / jnp.sum(spoken)
    waveform *= 0.05 * 10 ** (manner.level_db / 20) / jnp.sqrt(power)
    return waveform, jnp.round(seconds * SAMPLE_RATE).astype(jnp.int32)


class _Tracks(NamedTuple):
    """Parameters of the utterance every 10 ms: float32 [frames], formants [frames, 3]."""

    f0_hz: Array
    formants_hz: Array
    voicing: Array
    frication: Array
    frication_hz: Array
    frication_width_hz: Array
    speaking: Array


def _articulate(manner: Manner, phrase: Phrase) -> tuple[_Tracks, jax.Array]:
    """Returns the movements of voice and tract, and the duration of the utterance in seconds."""
    before, after = manner.pauses
    lengths = phrase.lengths / manner.rate
    total = jnp.sum(lengths)
    spoken_seconds = jnp.minimum(total, MAX_SECONDS - before - after)
    lengths *= spoken_seconds / total
    seconds = jnp.maximum(before + spoken_seconds + after, MIN_SECONDS)

    time = (jnp.arange(_FRAMES, dtype=jnp.float32) + 1) * _FRAME_SECONDS  # windows' centres
    ends = before + jnp.cumsum(lengths)
    syllable = jnp.minimum(jnp.sum(time[:, None] >= ends[None], axis=1), SYLLABLES - 1)
    since = time - (ends - lengths)[syllable]
    speaking = ((time >= before) & (time < before + spoken_seconds)).astype(jnp.float32)

    consonant = jnp.asarray(_CONSONANTS)[phrase.consonants][syllable]
    locus, (voiced, noise, noise_hz, noise_width_hz, duration, closure) = (
        consonant[:, :3],
        consonant[:, 3:].T,
    )
    duration = jnp.minimum(duration, 0.45 * lengths[syllable])
    in_consonant = since < duration
    vowel = jnp.asarray(_VOWELS)[phrase.vowels][syllable]
    accent = phrase.accents[syllable]

    formants_hz = _smooth(4.0) @ jnp.where(in_consonant[:, None], locus, vowel)
    loudness = 10 ** (manner.accent_db * accent / 20)
    voicing = speaking * loudness * jnp.where(in_consonant, voiced, 1.0)
    voicing = manner.attack * (_smooth(1.0) @ voicing) + (1 - manner.attack) * (
        _smooth(3.5) @ voicing
    )
    in_noise = in_consonant & (since >= closure * duration)
    frication = speaking * jnp.where(in_noise, noise, 0.0)

    progress = jnp.clip((time - before) / spoken_seconds, 0.0, 1.0)
    semitones = (
        manner.f0_range_semitones * (_smooth(5.0) @ accent)
        - 2.0 * (progress - 0.5)  # declination: pitch falls as the breath runs out
        + manner.f0_end_semitones * jnp.clip(3 * progress - 2, 0.0, 1.0)
    )
    f0_hz = jnp.clip(manner.f0_hz * 2 ** (semitones / 12), 60.0, 600.0)
    tracks = _Tracks(
        f0_hz,
        formants_hz * manner.formant_scale,
        voicing,
        _smooth(0.7) @ frication,
        noise_hz,
        noise_width_hz,
        speaking,
    )
    return tracks, seconds


def _smooth(frames: float) -> np.ndarray:
    """Returns a Gaussian average over time as a matrix, float32 [frames, frames], rows of sum 1."""
    lag = np.arange(_FRAMES)[:, None] - np.arange(_FRAMES)
    weight = np.exp(-0.5 * (lag / frames) ** 2)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def _voice(f0_hz: Array, jitter: Array) -> jax.Array:
    """Returns band-limited glottal pulses, float32 [frames * hop].

    The sum of all cosine harmonics below 0.92 of the Nyquist frequency in closed form (the
    Dirichlet kernel), scaled so that the power in a formant does not depend on F0.

    Args:
        f0_hz: Fundamental frequency [frames].
        jitter: Factor of F0 every 5 ms [steps + 1].
    """
    position = jnp.arange(len(jitter), dtype=jnp.float32) * (_F0_STEP / _HOP)
    f0 = jitter * jnp.interp(position, jnp.arange(_FRAMES, dtype=jnp.float32), f0_hz)
    begin, end = f0[:-1, None], f0[1:, None]
    # Cycles are counted per step and reduced to a fraction before samples are added: a float32
    # count of all samples would blur the highest harmonics.
    cycles = jnp.cumsum((begin + end) * (0.5 * _F0_STEP / SAMPLE_RATE), axis=0)
    cycles -= (begin + end) * (0.5 * _F0_STEP / SAMPLE_RATE)
    n = jnp.arange(_F0_STEP, dtype=jnp.float32)[None]
    fraction = cycles % 1 + (n * begin + n**2 / (2 * _F0_STEP) * (end - begin)) / SAMPLE_RATE
    phase = 2 * jnp.pi * (fraction - jnp.round(fraction))

    harmonics = jnp.floor(0.92 * SAMPLE_RATE / 2 / begin)
    denominator = 2 * jnp.sin(phase / 2)
    at_pulse = jnp.abs(denominator) < 1e-5
    kernel = jnp.sin((harmonics + 0.5) * phase) / jnp.where(at_pulse, 1.0, denominator) - 0.5
    pulses = jnp.where(at_pulse, harmonics, kernel)
    return (pulses * jnp.sqrt(begin / 100)).reshape(-1)


def _spectra(voice: jax.Array, breath: jax.Array, tracks: _Tracks, manner: Manner) -> jax.Array:
    """Returns the spectrum of each frame of speech, complex64 [frames, bins]."""
    hz = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE).astype(np.float32)
    # -8 dB per octave: -14 of the glottal flow and +6 of radiation from the lips. Below 80 Hz there
    # is no voice.
    octaves = np.log2(np.maximum(hz, 80) / 500)
    tilt = 10 ** ((manner.tilt_db - 8.0) * octaves / 20)
    upper_hz = jnp.minimum(_UPPER_FORMANTS_HZ[None] * manner.formant_scale, _MAX_FORMANT_HZ)
    upper = _tract(upper_hz, _BANDWIDTHS_HZ[3:], hz)
    tract = _tract(tracks.formants_hz, _BANDWIDTHS_HZ[:3], hz) * upper
    distance = (hz[None] - tracks.frication_hz[:, None]) / tracks.frication_width_hz[:, None]
    constriction = tracks.frication[:, None] / (1 + distance**2)

    noise = _frames(breath)
    source = _scale(_frames(voice), tilt[None]) + _scale(noise, 3.0 * manner.breathiness)
    return _scale(source * tract, tracks.voicing[:, None]) + _scale(noise, 4.0 * constriction)


def _tract(formants_hz: Array, bandwidths_hz: np.ndarray, hz: np.ndarray) -> jax.Array:
    """Returns the frequency response of resonators in cascade, complex64 [frames, bins], 1 at 0 Hz.

    Args:
        formants_hz: Centre frequencies of the resonances [frames, formants].
        bandwidths_hz: Bandwidths of the resonances [formants].
        hz: Frequencies of the bins [bins].
    """
    radius = np.exp(-np.pi * bandwidths_hz / SAMPLE_RATE)[None]
    b = 2 * radius * jnp.cos(formants_hz * (2 * np.pi / SAMPLE_RATE))
    c = -(radius**2)
    angle = (2 * np.pi * hz / SAMPLE_RATE)[None]
    # A resonator is (1 - b - c) / (1 - b z^-1 - c z^-2), z = exp(i angle).
    response = jnp.prod(1 - b - c, axis=1)[:, None].astype(jnp.complex64)
    for i in range(len(bandwidths_hz)):
        real = 1 - b[:, i, None] * np.cos(angle) - c[:, i] * np.cos(2 * angle)
        imaginary = b[:, i, None] * np.sin(angle) + c[:, i] * np.sin(2 * angle)
        response = response / jax.lax.complex(real, imaginary)
    return response


def _scale(spectra: jax.Array, factor: Array) -> jax.Array:
    """Returns complex spectra times a real factor; strict promotion forbids `*` of the two."""
    return spectra * factor.astype(jnp.complex64)


def _frames(signal: jax.Array) -> jax.Array:
    """Returns the spectra of overlapping Hann windows of two hops, complex64 [frames, bins]."""
    blocks = signal.reshape(_FRAMES, _HOP)
    pairs = jnp.concatenate([blocks, jnp.roll(blocks, -1, axis=0)], axis=1)
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * _HOP) / _HOP)
    return jnp.fft.rfft(pairs * window[None].astype(np.float32), n=_FFT)


def _overlap_add(spectra: jax.Array) -> jax.Array:
    """Returns the sum of the overlapping frames, float32 [frames * hop]."""
    blocks = jnp.fft.irfft(spectra, n=_FFT).reshape(_FRAMES, _FFT // _HOP, _HOP)
    padded = [jnp.pad(blocks[:, i], ((i, 0), (0, 0)))[:_FRAMES] for i in range(_FFT // _HOP)]
    return sum(padded[1:], padded[0]).reshape(-1)
