"""Slow definitions in plain NumPy, with which the fast code must agree.

This module does not import serjax. Each function is written from its definition, in float64, with
loops where they are clearer.
"""

import numpy as np

# --- Spectral features (serjax.features) ---------------------------------------------------------


def stft(
    waveform: np.ndarray, taper: np.ndarray, hop_samples: int, fft_size: int, pad: str | None
) -> np.ndarray:
    """Computes the short-time Fourier transform `[frames, fft_size // 2 + 1]` term by term.

    Args:
        waveform: `[samples]`.
        taper: Window `[window_samples]`, in the middle of a frame.
        hop_samples: Distance between frames, in samples.
        fft_size: Size of the transform, in samples.
        pad: Mode of `np.pad` for padding by half a frame, or None.
    """
    if pad is not None:
        waveform = np.pad(waveform, fft_size // 2, mode=pad)
    left = (fft_size - len(taper)) // 2
    n, k = np.arange(fft_size), np.arange(fft_size // 2 + 1)
    frames = []
    for start in range(0, len(waveform) - fft_size + 1, hop_samples):
        frame = np.zeros(fft_size)
        inner = waveform[start + left : start + left + len(taper)]
        frame[left : left + len(taper)] = inner.astype(np.float64) * taper
        frames.append([np.sum(frame * np.exp(-2j * np.pi * n * i / fft_size)) for i in k])
    return np.array(frames)


def mel_filters(
    sample_rate: int,
    fft_size: int,
    mel_bins: int,
    min_hz: float,
    max_hz: float,
    mel_scale: str = "htk",
    norm: str | None = None,
) -> np.ndarray:
    """Computes mel filters `[fft_size // 2 + 1, mel_bins]` bin by bin.

    The scale is that of The HTK Book or of Slaney's Auditory Toolbox (1998): below 1 kHz, 3 mel to
    200 Hz; above it, 27 mel to a factor of 6.4. The filters have unit height without `norm`, unit
    area (in Hz) with "slaney".
    """

    def mel(hz: float) -> float:
        if mel_scale == "htk":
            return 2595 * np.log10(1 + hz / 700)
        return 3 * hz / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)

    def hz(mel: float) -> float:
        if mel_scale == "htk":
            return 700 * (10 ** (mel / 2595) - 1)
        return 200 * mel / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    step = (mel(max_hz) - mel(min_hz)) / (mel_bins + 1)
    filters = np.zeros((fft_size // 2 + 1, mel_bins))
    for j in range(mel_bins):
        left, centre, right = (hz(mel(min_hz) + (j + i) * step) for i in range(3))
        for i in range(fft_size // 2 + 1):
            frequency = i * sample_rate / fft_size
            if left < frequency <= centre:
                filters[i, j] = (frequency - left) / (centre - left)
            elif centre < frequency < right:
                filters[i, j] = (right - frequency) / (right - centre)
        if norm == "slaney":
            filters[:, j] *= 2 / (right - left)
    return filters


# --- Voice activity (serjax.features.voice_activity) ---------------------------------------------


def non_silent_samples(waveform: np.ndarray, threshold: float, block_samples: int) -> np.ndarray:
    """Selects the samples of blocks whose range reaches a fraction of the largest range."""
    starts = range(0, len(waveform), block_samples)
    blocks = [waveform[start : start + block_samples] for start in starts]
    ranges = [np.max(b) - np.min(b) for b in blocks if len(b) == block_samples]
    samples, is_loud = [], True
    for block in blocks:
        if len(block) == block_samples:
            is_loud = np.max(block) - np.min(block) >= threshold * max(ranges)
        if is_loud:
            samples.extend(block)
    return np.array(samples)


def voicing(
    waveform: np.ndarray,
    block_samples: int,
    sample_rate: int,
    min_hz: float,
    max_hz: float,
    silence_threshold: float,
    voicing_threshold: float,
) -> np.ndarray:
    """Computes the margin of each block over the bound of unvoiced speech (Boersma 1993).

    The autocorrelation is computed lag by lag. The margin is positive for voiced blocks.
    """
    size = round(3 * sample_rate / min_hz)
    taper = np.array([0.5 - 0.5 * np.cos(2 * np.pi * n / size) for n in range(size)])

    def correlation(x: np.ndarray, lag: int) -> float:
        return float(np.dot(x[: size - lag], x[lag:]))

    waveform = waveform - waveform.mean()
    margins = []
    for start in range(0, len(waveform), block_samples):
        first = start - (size - block_samples) // 2
        places = np.arange(first, first + size)
        inside = (places >= 0) & (places < len(waveform))
        window = np.where(inside, waveform[np.clip(places, 0, len(waveform) - 1)], 0.0)
        window = window - window.mean()
        windowed, best = window * taper, 0.0
        for lag in range(size // 2):
            if 1 / max_hz <= lag / sample_rate <= 1 / min_hz and windowed.any():
                r = correlation(windowed, lag) / correlation(windowed, 0)
                r /= correlation(taper, lag) / correlation(taper, 0)
                best = max(best, 1 / r if r > 1 else r)
        loudest = np.max(np.abs(waveform))
        relative = np.max(np.abs(window)) / loudest if loudest else 0.0
        weakness = max(0.0, 2 - relative / (silence_threshold / (1 + voicing_threshold)))
        margins.append(best - voicing_threshold - weakness)
    return np.array(margins)


# --- SpecAugment (serjax.augment) ----------------------------------------------------------------


def stripe_patterns(places: int, widest: int, stripes: int) -> dict[tuple[bool, ...], float]:
    """Probability of every pattern that random stripes leave on a number of places.

    A stripe's width is uniform on {0, ..., widest} and its start on {0, ..., places - width}
    (Padi et al., 2021, section 3.4, with both ends in the range); all combinations are enumerated.
    """
    patterns = {(False,) * places: 1.0}
    for _ in range(stripes):
        longer: dict[tuple[bool, ...], float] = {}
        for pattern, probability in patterns.items():
            for width in range(widest + 1):
                starts = range(places - width + 1)
                for start in starts:
                    union = tuple(p or start <= i < start + width for i, p in enumerate(pattern))
                    share = probability / (widest + 1) / len(starts)
                    longer[union] = longer.get(union, 0.0) + share
        patterns = longer
    return patterns


# --- Quaternions (serjax.quaternion, serjax.layers) ----------------------------------------------

# Row a, column b: sign and unit of e_a e_b among 1, i, j, k. From i² = j² = k² = ijk = -1.
UNIT_PRODUCTS = (
    ((1, 0), (1, 1), (1, 2), (1, 3)),
    ((1, 1), (-1, 0), (1, 3), (-1, 2)),
    ((1, 2), (-1, 3), (-1, 0), (1, 1)),
    ((1, 3), (1, 2), (-1, 1), (-1, 0)),
)


def hamilton(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Product of quaternions whose four components lie in the last axis, unit by unit."""
    result = np.zeros(np.broadcast_shapes(p.shape, q.shape))
    for a, row in enumerate(UNIT_PRODUCTS):
        for b, (sign, unit) in enumerate(row):
            result[..., unit] += sign * p[..., a] * q[..., b]
    return result


def to_quaternions(x: np.ndarray) -> np.ndarray:
    """Channels in four blocks `[..., 4 n]` to single quaternions `[..., n, 4]`."""
    return np.moveaxis(x.astype(np.float64).reshape(*x.shape[:-1], 4, -1), -2, -1)


def to_channels(q: np.ndarray) -> np.ndarray:
    """Single quaternions `[..., n, 4]` to channels in four blocks `[..., 4 n]`."""
    return np.moveaxis(q, -1, -2).reshape(*q.shape[:-2], -1)


def quaternion_dense(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """`[..., 4 n]` with kernel `[4, n, o]`: output o sums `kernel[n, o] * x[n]` over n."""
    x, kernel = to_quaternions(x), np.moveaxis(kernel.astype(np.float64), 0, -1)
    result = np.zeros((*x.shape[:-2], kernel.shape[1], 4))
    for n in range(kernel.shape[0]):
        for o in range(kernel.shape[1]):
            result[..., o, :] += hamilton(kernel[n, o], x[..., n, :])
    return to_channels(result)


def same_padding(
    size: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> list[tuple[int, int]]:
    """Padding that leaves ceil(size / stride) positions, the odd one of a pair at the end."""
    pairs = []
    for n, w, s, d in zip(size, window, strides, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (w - 1) * d + 1 - n, 0)
        pairs.append((total // 2, total - total // 2))
    return pairs


def convolve(
    x: np.ndarray,
    kernel: np.ndarray,
    strides: tuple[int, ...],
    padding: list[tuple[int, int]],
    dilation: tuple[int, ...],
) -> np.ndarray:
    """Cross-correlation of `[batch, *space, inputs]` with `[*window, inputs, outputs]`.

    Of real or complex numbers: at each position a sum over the window of products of matrices.
    """
    x = np.pad(x, [(0, 0), *padding, (0, 0)])
    window = kernel.shape[:-2]
    space = tuple(
        (n - (w - 1) * d - 1) // s + 1
        for n, w, s, d in zip(x.shape[1:-1], window, strides, dilation, strict=True)
    )
    result = np.zeros((x.shape[0], *space, kernel.shape[-1]), np.result_type(x, kernel))
    for position in np.ndindex(*space):
        for tap in np.ndindex(*window):
            place = tuple(
                p * s + t * d for p, s, t, d in zip(position, strides, tap, dilation, strict=True)
            )
            result[(slice(None), *position)] += x[(slice(None), *place)] @ kernel[tap]
    return result


def quaternion_conv(
    x: np.ndarray,
    kernel: np.ndarray,
    strides: tuple[int, ...],
    padding: list[tuple[int, int]],
    dilation: tuple[int, ...],
    groups: int = 1,
) -> np.ndarray:
    """Cross-correlation of `[batch, *space, 4 n]` with kernel `[4, *window, n / groups, o]`.

    Output quaternion o of a group sums `kernel * x` over the group's input quaternions and the
    window; groups are consecutive runs of quaternions.
    """
    x, kernel = to_quaternions(x), np.moveaxis(kernel.astype(np.float64), 0, -1)
    x = np.pad(x, [(0, 0), *padding, (0, 0), (0, 0)])
    window, (inputs, outputs) = kernel.shape[:-3], kernel.shape[-3:-1]
    space = tuple(
        (n - (w - 1) * d - 1) // s + 1
        for n, w, s, d in zip(x.shape[1:-2], window, strides, dilation, strict=True)
    )
    result = np.zeros((x.shape[0], *space, outputs, 4))
    for position in np.ndindex(*space):
        for tap in np.ndindex(*window):
            place = tuple(
                p * s + t * d for p, s, t, d in zip(position, strides, tap, dilation, strict=True)
            )
            for o in range(outputs):
                first = o // (outputs // groups) * inputs
                for n in range(inputs):
                    result[(slice(None), *position, o)] += hamilton(
                        kernel[(*tap, n, o)], x[(slice(None), *place, first + n)]
                    )
    return to_channels(result)


def quaternion_conv_transpose(
    x: np.ndarray,
    kernel: np.ndarray,
    strides: tuple[int, ...],
    padding: str | list[tuple[int, int]],
) -> np.ndarray:
    """Zeros are put between the inputs, stride - 1 at a time, then `quaternion_conv` with stride 1.

    Padding is of the spread input, as in `jax.lax.conv_transpose`. "VALID" keeps every product of
    an input and a tap, `n s + max(w - s, 0)` positions; "SAME" keeps `n s`, and pads the
    difference to the start as far as a window reaches.
    """
    window = kernel.shape[1:-2]
    spread = np.zeros(
        (
            x.shape[0],
            *((n - 1) * s + 1 for n, s in zip(x.shape[1:-1], strides, strict=True)),
            x.shape[-1],
        )
    )
    spread[(slice(None), *(slice(None, None, s) for s in strides))] = x
    if isinstance(padding, str):
        pairs = []
        for w, s in zip(window, strides, strict=True):
            total = w + s - 2 + (max(w - s, 0) if padding == "VALID" else 0)
            before = w - 1 if padding == "VALID" or s > w - 1 else -(-total // 2)
            pairs.append((before, total - before))
    else:
        pairs = padding
    ones = (1,) * len(window)
    return quaternion_conv(spread, kernel, ones, pairs, ones)


def quaternion_batch_norm(x: np.ndarray, epsilon: float) -> tuple[np.ndarray, ...]:
    """Normalized `[positions, 4 n]`, means `[4 n]` and variances E|q - E[q]|² `[n]`."""
    q = to_quaternions(x)
    mean = q.mean(0)
    variance = np.array(
        [
            np.mean([np.sum((position - mean[n]) ** 2) for position in q[:, n]])
            for n in range(q.shape[1])
        ]
    )
    y = (q - mean) / np.sqrt(variance + epsilon)[:, None]
    return to_channels(y), to_channels(mean), variance


# --- Hypercomplex numbers (serjax.hypercomplex, serjax.layers) ------------------------------------


def hypercomplex_matrix(rule: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Real kernel `[*window, n inputs, n outputs]` of `[n, *window, inputs, outputs]`.

    `W = sum_i A_i (x) S_i` acts on columns (Zhang et al. 2021), so it is transposed.
    """
    n, *window, inputs, outputs = kernel.shape
    matrix = np.zeros((*window, n * inputs, n * outputs))
    for tap in np.ndindex(*window):
        for i in range(n):
            matrix[tap] += np.kron(rule[i], kernel[(i, *tap)].T).T
    return matrix


def whitened(x: np.ndarray, components: int, epsilon: float) -> tuple[np.ndarray, ...]:
    """Whitened `[positions, channels]`, means `[channels]`, covariances `[n, n, numbers]`.

    A number's components are multiplied by the inverse of the Cholesky factor of their covariance
    (Trabelsi et al. 2018, section 3.5; Gaudet & Maida 2018), one number at a time.
    """
    blocks = x.astype(np.float64).reshape(len(x), components, -1)
    result, covariances = np.zeros_like(blocks), []
    for index in range(blocks.shape[-1]):
        numbers = blocks[..., index] - blocks[..., index].mean(0)
        covariance = sum(np.outer(number, number) for number in numbers) / len(numbers)
        factor = np.linalg.cholesky(covariance + epsilon * np.eye(components))
        result[..., index] = np.linalg.solve(factor, numbers.T).T
        covariances.append(covariance)
    return result.reshape(x.shape), x.astype(np.float64).mean(0), np.stack(covariances, -1)


# --- Statistics pooling (serjax.layers) ----------------------------------------------------------


def statistics_pooling(
    x: np.ndarray, mask: np.ndarray, components: int, epsilon: float
) -> np.ndarray:
    """Means, then deviations, of the real frames of `[batch, frames, features]`, block by block."""
    rows = []
    for frames, real in zip(x.astype(np.float64), mask, strict=True):
        blocks = []
        for block in np.split(frames[real], components, axis=-1):
            blocks += [block.mean(0), np.sqrt(block.var(0) + epsilon)]
        rows.append(np.concatenate(blocks))
    return np.stack(rows)


def anti_transfer(features, reference, beta=1.0):
    """Equation 1 of Guizzo et al. 2023, word for word: `[batch, ..., channels]` -> `[batch]`."""
    losses = []
    for f_t, f_p in zip(np.float64(features), np.float64(reference), strict=True):
        channels = f_t.shape[-1]
        g_t, g_p = np.zeros((channels, channels)), np.zeros((channels, channels))
        for at in np.ndindex(f_t.shape[:-1]):
            g_t += np.outer(f_t[at], f_t[at])
            g_p += np.outer(f_p[at], f_p[at])
        t, p = g_t.reshape(-1), g_p.reshape(-1)
        losses.append(beta * (p @ t / (np.linalg.norm(p) * np.linalg.norm(t))) ** 2)
    return np.array(losses)
