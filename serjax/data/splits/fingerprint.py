"""Recognition of recordings of the same sound, whatever their format, rate, level and offset.

A split that separates two copies of a recording leaks. Copies are seldom equal files: one is
compressed, resampled or louder. So each recording gets a fingerprint, the shape of the energy in
bands of frequency over time. The most similar fingerprints are candidates, and two candidates are
the same sound if their waveforms are, which is computed from their cross-correlation.
"""

import base64
import hashlib
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import scipy.fft
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# The bands of telephones, which every format keeps.
_MIN_HZ, _MAX_HZ = 120.0, 3400.0
_BANDS, _PARTS = 8, 16
_WINDOW_SECONDS, _HOP_SECONDS = 0.02, 0.01
# The parts of equal duration lie between the times by which these fractions of the energy passed.
_EDGES = (0.03, 0.97)
_FLOOR = 1e-5
_LEVELS = 127
_SILENT = "silent:"

# 168 copies of 14 recordings of EMO-DB, RAVDESS, TESS and FSDD (Ogg Vorbis, MP3 and AAC down to 24
# kbit/s, WMA, 16 kbit/s Opus, mu-law, ADPCM, 8 kHz, 20 dB lower, offset): 97 % are candidates. Of a
# million pairs of different recordings 291 are, most of them the same digit of the same speaker.
_MIN_SIMILARITY = 0.85
_MAX_STRETCH = 0.1
_CANDIDATES = 3
# Cross-correlation of the copies: at least 0.77. Of different recordings: at most 0.45, tones of
# nearly the same pitch. Without the fade at the ends it is 0.69 for these, whose leakage fills all
# bands.
_MIN_CORRELATION = 0.6
_CORRELATION_BANDS = 20
_FADE_SECONDS = 0.025

_ROWS = 512
# Beyond, comparing all with all takes longer than reading them: only equal samples are recognized.
_MOST_COMPARED = 200_000


def content_hash(waveform: np.ndarray) -> str:
    """Returns a hash of the samples of a waveform; equal for equal samples.

    Args:
        waveform: Samples `[samples]`, converted to float32.
    """
    samples = np.ascontiguousarray(waveform, "<f4").tobytes()
    return hashlib.blake2b(samples, digest_size=16).hexdigest()


def content_id(waveform: np.ndarray, sample_rate: int) -> str:
    """Returns the identity of the sound of a recording, for `same_sound`.

    Args:
        waveform: Waveform `[samples]`.
        sample_rate: Sample rate, in Hz.

    Returns:
        Hash of the samples, followed by a fingerprint of the sound; marked if it is silent.
    """
    digest = content_hash(waveform)
    if not len(waveform) or np.ptp(waveform) == 0:
        return _SILENT + digest
    code = _fingerprint(np.asarray(waveform, np.float32), sample_rate)
    return digest if code is None else f"{digest}:{base64.b64encode(code).decode()}"


def same_sound(
    content: Sequence[str], read: Callable[[int], np.ndarray], sample_rate: int
) -> np.ndarray:
    """Numbers the sounds of recordings: equal for two recordings of the same sound.

    Silence is no sound: each silent recording has a number of its own. Among more than 200,000
    different recordings, only equal samples are recognized.

    >>> noise = np.random.default_rng(0).normal(0, 0.1, (2, 16_000)).astype(np.float32)
    >>> waveforms = [noise[0], noise[1], noise[0] / 10, np.zeros(9), np.zeros(9)]
    >>> ids = [content_id(waveform, 16_000) for waveform in waveforms]
    >>> same_sound(ids, waveforms.__getitem__, 16_000).tolist()
    [0, 1, 0, 2, 3]

    Args:
        content: `content_id` of each recording.
        read: Function from an index to the waveform `[samples]`, called for the most similar ones.
        sample_rate: Sample rate of the waveforms, in Hz.

    Returns:
        Number of each recording's sound, int64 `[recordings]`, in order of first occurrence.
    """
    first: dict[str, int] = {}
    representative = [
        i if identity.startswith(_SILENT) else first.setdefault(identity, i)
        for i, identity in enumerate(content)
    ]
    compared = np.array([i for key, i in first.items() if ":" in key], np.int64)
    pairs = [(i, r) for i, r in enumerate(representative) if i != r]
    if len(compared) <= _MOST_COMPARED:
        codes = [base64.b64decode(content[i].partition(":")[2]) for i in compared]
        pairs += [
            (compared[a], compared[b])
            for a, b in _candidates(codes)
            if _is_same(read(int(compared[a])), read(int(compared[b])), sample_rate)
        ]
    edges = np.array(pairs, np.int64).reshape(-1, 2).T
    shape = (len(content), len(content))
    graph = coo_array((np.ones(edges.shape[1]), (edges[0], edges[1])), shape)
    _, components = connected_components(graph, directed=False)
    _, firsts, numbers = np.unique(components, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(firsts))[numbers].astype(np.int64)


def _fingerprint(waveform: np.ndarray, sample_rate: int) -> bytes | None:
    """Returns the duration and energy by band and time as bytes; None if it is too short."""
    window = max(round(_WINDOW_SECONDS * sample_rate), 2)
    hop = max(round(_HOP_SECONDS * sample_rate), 1)
    # A full window at both ends, so that the begin counts wherever it is in the file.
    padded = np.pad(waveform - waveform.mean(), window)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spectrum = scipy.fft.rfft(frames * np.hanning(window).astype(np.float32), 2 * window)
    power = spectrum.real**2 + spectrum.imag**2
    hz = np.arange(power.shape[1]) * (sample_rate / (2 * window))
    edges = np.searchsorted(hz, np.geomspace(_MIN_HZ, min(_MAX_HZ, 0.42 * sample_rate), _BANDS + 1))
    energy = np.add.reduceat(power, edges, axis=1)[:, :_BANDS].astype(np.float64)
    passed = np.concatenate([np.zeros((1, _BANDS)), np.cumsum(energy, axis=0)])
    total = passed.sum(axis=1)
    if not total[-1] > 0:
        return None
    begin, end = np.interp(np.multiply(_EDGES, total[-1]), total, np.arange(len(total)))
    if end - begin < _PARTS / 4:
        return None
    times = np.linspace(begin, end, _PARTS + 1)
    parts = np.stack([np.diff(np.interp(times, np.arange(len(total)), band)) for band in passed.T])
    shape = (parts / total[-1] + _FLOOR) ** 0.25
    shape -= shape.mean(axis=1, keepdims=True)
    largest = np.abs(shape).max()
    if not largest > 0:
        return None
    code = np.rint(shape * (_LEVELS / largest)).astype(np.int8).tobytes()
    return np.float32(np.log((end - begin) * hop / sample_rate)).astype("<f4").tobytes() + code


def _candidates(codes: Sequence[bytes]) -> list[tuple[int, int]]:
    """Returns the pairs of the most similar fingerprints: a few for each, if any is similar."""
    if len(codes) < 2:
        return []
    durations = np.array([np.frombuffer(code[:4], "<f4")[0] for code in codes])
    shapes = np.stack([np.frombuffer(code[4:], np.int8) for code in codes]).astype(np.float32)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    order = np.argsort(durations, kind="stable")
    durations, shapes = durations[order], shapes[order]
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(order), _ROWS):
        stop = min(start + _ROWS, len(order))
        # Only longer ones: the others were compared before.
        last = int(np.searchsorted(durations, durations[stop - 1] + _MAX_STRETCH, side="right"))
        similarity = shapes[start:stop] @ shapes[start:last].T
        rows, columns = (np.arange(size) for size in similarity.shape)
        stretch = durations[None, start:last] - durations[start:stop, None]
        is_candidate = (columns > rows[:, None]) & (stretch <= _MAX_STRETCH)
        similarity = np.where(is_candidate, similarity, -1.0)
        most = min(_CANDIDATES, similarity.shape[1])
        best = np.argpartition(-similarity, most - 1, axis=1)[:, :most]
        for row, chosen in enumerate(best):
            pairs += [
                (int(order[start + row]), int(order[start + column]))
                for column in chosen
                if similarity[row, column] > _MIN_SIMILARITY
            ]
    return pairs


def _is_same(one: np.ndarray, other: np.ndarray, sample_rate: int) -> bool:
    """Returns True if two waveforms are the same sound, one perhaps later or coded.

    The cross-correlations of the bands, each normalized, are summed, so that weak bands of noise,
    which no two recordings share, count as much as the strong harmonics of the same voice.
    """
    size = scipy.fft.next_fast_len(len(one) + len(other), real=True)
    spectra = [scipy.fft.rfft(_faded(waveform, sample_rate), size) for waveform in (one, other)]
    hz = np.arange(size // 2 + 1) * (sample_rate / size)
    highest = min(_MAX_HZ, 0.42 * sample_rate)
    edges = np.searchsorted(hz, np.geomspace(_MIN_HZ, highest, _CORRELATION_BANDS + 1))
    product = np.zeros(len(hz), np.complex64)
    for low, high in itertools.pairwise(edges):
        a, b = (spectrum[low:high] for spectrum in spectra)
        norm = np.linalg.norm(a) * np.linalg.norm(b)
        product[low:high] = a * b.conj() / (norm if norm > 0 else 1)
    correlation = scipy.fft.irfft(product, size) * (size / 2 / _CORRELATION_BANDS)
    return bool(np.abs(correlation).max() > _MIN_CORRELATION)


def _faded(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Returns a waveform without offset, float32, that begins and ends softly."""
    centred = np.asarray(waveform - np.mean(waveform, dtype=np.float64), np.float32)
    size = min(round(_FADE_SECONDS * sample_rate), len(centred) // 4)
    ramp = np.sin(np.linspace(0, np.pi / 2, size, dtype=np.float32)) ** 2
    centred[:size] *= ramp
    centred[len(centred) - size :] *= ramp[::-1]
    return centred
