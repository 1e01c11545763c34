"""Front ends against librosa: shapes, masks, padding, silence and images."""

import dataclasses

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from serjax.errors import InputError
from serjax.features import front_ends, image
from tests.helpers.type_checks import without_type_checks

DEEPIKA_PADDED = dataclasses.replace(front_ends.DEEPIKA, fit="pad")
FRONT_ENDS = {
    "guizzo_real": front_ends.GUIZZO_REAL,
    "guizzo_quaternion": front_ends.GUIZZO_QUATERNION,
    "deepika": DEEPIKA_PADDED,
    "padi": front_ends.PADI,
}
RATE = 16_000


@pytest.fixture(params=FRONT_ENDS)
def front_end(request):
    return FRONT_ENDS[request.param]


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Samples noise with a slow swell, so that frames and bins differ in level."""
    rng = np.random.default_rng(seed)
    swell = 0.55 + 0.45 * np.sin(np.arange(samples) / 3000)
    return (swell * rng.uniform(-0.5, 0.5, samples)).astype(np.float32)


def batch(lengths, samples, past_the_end=0.0):
    """Makes waveforms `[batch, samples]` of different lengths."""
    waveforms = np.full((len(lengths), samples), past_the_end, np.float32)
    for seed, (row, length) in enumerate(zip(waveforms, lengths, strict=True)):
        row[:length] = noise(length, seed)
    return jnp.asarray(waveforms), jnp.asarray(lengths, jnp.int32)


def valid_frames(front_end, samples):
    """Counts the frames centred on multiples of the hop within the waveform."""
    return 1 + samples // front_end.hop_samples if samples else 0


def expected_shape(front_end, batch_size, samples):
    frames = valid_frames(front_end, samples)
    return batch_size, frames if front_end.variable_length else front_end.frames, 128, 1


def test_shapes_masks_and_padding(front_end):
    # A full segment, a shorter one, less than one window, one sample, and an entry of padding.
    lengths = [4 * RATE, 21_111, 100, 1, 0]
    x, mask = jax.jit(front_end)(*batch(lengths, 4 * RATE))
    assert x.shape == expected_shape(front_end, 5, 4 * RATE)
    assert x.dtype == jnp.float32
    assert mask.shape == x.shape[:2]
    assert mask.dtype == bool
    # Valid frames come first, and their number follows from the length.
    assert mask.sum(1).tolist() == [valid_frames(front_end, n) for n in lengths]
    np.testing.assert_array_equal(mask, np.sort(mask, axis=1)[:, ::-1])
    assert jnp.all(jnp.isfinite(x))
    np.testing.assert_array_equal(x[~mask], 0)


def test_a_segment_has_the_size_that_the_papers_give():
    # Guizzo et al.: 4 s padded to 512 x 128; Deepika & Kuchibhotla: 128 x 128; Padi et al.: 128
    # bands every 10 ms of whole utterances, chunks of 300 frames in training.
    waveform = jax.ShapeDtypeStruct((2, 4 * RATE), jnp.float32)
    lengths = jax.ShapeDtypeStruct((2,), jnp.int32)
    shapes = {n: jax.eval_shape(f, waveform, lengths)[0].shape for n, f in FRONT_ENDS.items()}
    assert shapes == {
        "guizzo_real": (2, 512, 128, 1),
        "guizzo_quaternion": (2, 512, 128, 1),
        "deepika": (2, 128, 128, 1),
        "padi": (2, 401, 128, 1),
    }


def test_samples_of_frames_is_the_smallest_number(front_end):
    assert front_end.segment_samples == front_end.segment_seconds * RATE
    for frames in (1, 2, front_end.frames):
        samples = front_end.samples_of_frames(frames)
        waveform = jax.ShapeDtypeStruct((1, max(samples, 1)), jnp.float32)
        x, _ = jax.eval_shape(
            dataclasses.replace(front_end, variable_length=True),
            waveform,
            jax.ShapeDtypeStruct((1,), jnp.int32),
        )
        assert x.shape[1] == frames
    if not front_end.variable_length:
        # The longest segment fits into the fixed frames.
        assert valid_frames(front_end, front_end.segment_samples) <= front_end.frames


def test_normalization_uses_the_valid_frames(front_end):
    x, mask = jax.jit(front_end)(*batch([4 * RATE, 21_111], 4 * RATE))
    for example, is_valid in zip(np.asarray(x, np.float64), np.asarray(mask), strict=True):
        values = example[is_valid]
        if front_end.normalization == "unit_range":
            assert values.min() == 0
            assert values.max() == 1
        else:
            assert values.mean() == pytest.approx(0, abs=1e-4)
            assert values.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("past_the_end", [0.0, 0.9, np.nan])
def test_padding_does_not_change_the_input_of_an_utterance(front_end, past_the_end):
    lengths = [2 * RATE, 21_111, 7_000]
    apply = jax.jit(front_end)
    x, mask = apply(*batch(lengths, 2 * RATE, past_the_end))
    for i, length in enumerate(lengths):
        waveform = jnp.asarray(noise(length, i))[None]
        expected, is_valid = apply(waveform, jnp.asarray([length], jnp.int32))
        np.testing.assert_allclose(x[i][mask[i]], expected[is_valid], atol=1e-4)


def test_loudness_does_not_change_magnitudes():
    lengths = jnp.asarray([RATE], jnp.int32)
    for front_end in (front_ends.GUIZZO_REAL, front_ends.GUIZZO_QUATERNION):
        apply = jax.jit(front_end)
        loud = jnp.asarray(noise(RATE))[None]
        np.testing.assert_allclose(apply(loud, lengths)[0], apply(loud / 64, lengths)[0], atol=1e-4)


def at_one_level(waveform):
    """Waveform without offset, its peak at 1, in float64."""
    centred = waveform.astype(np.float64) - waveform.mean(dtype=np.float64)
    return centred / np.abs(centred).max()


def standardize(x):
    return (x - x.mean()) / x.std()


def unit_range(x):
    return (x - x.min()) / (x.max() - x.min())


@pytest.mark.parametrize(
    ("front_end", "normalize"),
    [(front_ends.GUIZZO_REAL, standardize), (front_ends.GUIZZO_QUATERNION, unit_range)],
)
def test_guizzo_equals_librosa(front_end, normalize):
    """256-sample Hamming windows, hop 128, magnitude without the Nyquist bin (section 3.1)."""
    waveform = noise(30_000)
    magnitude = np.abs(
        librosa.stft(
            at_one_level(waveform),
            n_fft=256,
            hop_length=128,
            win_length=256,
            window="hamming",
            pad_mode="constant",
        )
    )
    expected = normalize(magnitude[:128].T)
    x, mask = jax.jit(front_end)(jnp.asarray(waveform)[None], jnp.asarray([30_000], jnp.int32))
    np.testing.assert_allclose(x[0, :, :, 0][mask[0]], expected, atol=2e-4)


@pytest.mark.parametrize(
    ("front_end", "fft_size", "window_samples", "hop_samples"),
    [(DEEPIKA_PADDED, 1024, 1024, 512), (front_ends.PADI, 512, 400, 160)],
)
def test_log_mel_front_ends_equal_librosa(front_end, fft_size, window_samples, hop_samples):
    """64 ms every 32 ms; 25 ms every 10 ms (section 4.2 of Padi et al.); 128 bands."""
    waveform = noise(30_000)
    mel = librosa.feature.melspectrogram(
        y=at_one_level(waveform),
        sr=RATE,
        n_fft=fft_size,
        hop_length=hop_samples,
        win_length=window_samples,
        window="hann",
        pad_mode="constant",
        n_mels=128,
    )
    expected = standardize(librosa.power_to_db(mel, top_db=None).T)
    x, mask = jax.jit(front_end)(jnp.asarray(waveform)[None], jnp.asarray([30_000], jnp.int32))
    np.testing.assert_allclose(x[0, :, :, 0][mask[0]], expected, atol=2e-3)


# --- Silence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [RATE, 20_000])
@pytest.mark.parametrize("front_end", [front_ends.DEEPIKA, DEEPIKA_PADDED, front_ends.PADI])
def test_silence_is_removed_from_the_whole_recording(front_end, rate):
    """A pause of five seconds, longer than a segment, is found next to the speech around it."""
    pause, block = np.zeros(5 * rate, np.float32), rate // 50
    first, second = noise(30 * block), noise(20 * block, 1)
    first[::7] = second[::7] = 0.4  # no block is silent
    hiss = 0.001 * noise(5 * rate, 2)
    front_end = dataclasses.replace(front_end.at_sample_rate(rate), silence="remove")
    (speech,) = front_end.select_speech([np.concatenate([pause, first, hiss, second, pause])])
    np.testing.assert_array_equal(speech, np.concatenate([first, second]))


@pytest.mark.parametrize("silence", ["remove", "voiced"])
def test_an_utterance_with_too_little_speech_does_not_change(silence):
    click = np.zeros(RATE, np.float32)
    click[1000] = 0.5
    front_end = dataclasses.replace(front_ends.DEEPIKA, silence=silence)
    (speech,) = front_end.select_speech([click])
    assert speech is click


@pytest.mark.parametrize("front_end", [front_ends.DEEPIKA, DEEPIKA_PADDED])
def test_an_utterance_of_zeros_gives_an_input_of_zeros(front_end):
    x, mask = jax.jit(front_end)(jnp.zeros((1, 9_000)), jnp.asarray([9_000], jnp.int32))
    assert mask.sum() == (valid_frames(front_end, 9_000) if front_end.fit == "pad" else 128)
    np.testing.assert_array_equal(x, 0)


# --- Whole utterances of a fixed number of frames ------------------------------------------------


@pytest.mark.parametrize(
    "front_end", [front_ends.DEEPIKA, dataclasses.replace(front_ends.GUIZZO_REAL, fit="resize")]
)
def test_whole_utterances_are_resized(front_end):
    """Against `jax.image.resize` of each utterance's own spectrogram: a long and a short one.

    An utterance of 6 s is not cut into segments; what lies past its end has no effect.
    """
    lengths = [6 * RATE, 21_111, 0]
    waveforms, counts = batch(lengths, 6 * RATE, past_the_end=0.9)
    x, mask = jax.jit(front_end)(waveforms, counts)
    assert x.shape == (3, front_end.frames, 128, 1)
    assert mask.all(axis=1).tolist() == [True, True, False]
    assert not mask[-1].any()
    np.testing.assert_array_equal(x[-1], 0)
    whole = jax.jit(dataclasses.replace(front_end, fit="pad", variable_length=True))
    spectrograms, is_valid = whole(waveforms, counts)
    for example, spectrogram, valid in zip(x[:2], spectrograms, is_valid, strict=False):
        resized = jax.image.resize(spectrogram[valid], example.shape, "linear")
        np.testing.assert_allclose(example, standardize(resized), atol=2e-3)


def test_longest_resized_segment():
    assert front_ends.DEEPIKA.segment_samples == 30 * RATE
    assert DEEPIKA_PADDED.segment_samples == 4 * RATE


@pytest.mark.parametrize("rate", [8_000, 20_000, 44_100])
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_durations_do_not_depend_on_the_sample_rate(name, rate):
    default = FRONT_ENDS[name]
    if default.spectrogram == "magnitude" and rate < default.sample_rate:
        with pytest.raises(InputError, match="fft_size: expected at least 256 samples for 128"):
            default.at_sample_rate(rate)
        return
    front_end = default.at_sample_rate(rate)
    for field in ("window_samples", "hop_samples", "fft_size"):
        seconds = getattr(default, field) / default.sample_rate
        assert getattr(front_end, field) == pytest.approx(seconds * rate, abs=0.5)
    assert front_end.segment_samples == pytest.approx(default.segment_seconds * rate)
    frames = valid_frames(front_end, front_end.segment_samples)
    assert front_end.variable_length or frames <= front_end.frames
    assert default.at_sample_rate(default.sample_rate) == default


# --- Images --------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalization", ["unit_range", "standard"])
def test_colours_equal_those_of_the_normalized_spectrogram(normalization):
    plain = dataclasses.replace(front_ends.GUIZZO_QUATERNION, normalization="unit_range")
    coloured = dataclasses.replace(plain, colormap="magma", normalization=normalization)
    inputs = batch([2 * RATE, 21_111, 0], 2 * RATE)
    x, mask = jax.jit(coloured)(*inputs)
    spectrogram, is_valid = jax.jit(plain)(*inputs)
    np.testing.assert_array_equal(mask, is_valid)
    assert x.shape == (3, *coloured.input_shape) == (3, 512, 128, 3)
    expected = np.asarray(image.colorize(spectrogram[..., 0], "magma"))
    if normalization == "standard":
        # The mean and standard deviation of ImageNet's colours, as for torchvision's networks.
        mean, deviation = np.float32([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        expected = (expected - mean) / deviation
    # Two programs may round a value into neighbouring steps of the map.
    is_close = np.isclose(x[mask], expected[mask], atol=1e-5)
    assert is_close.mean() > 0.999
    np.testing.assert_array_equal(x[~mask], 0)


@pytest.mark.parametrize("colormap", [None, "jet"])
@pytest.mark.parametrize("size", [(224, 224), (299, 40)])
def test_images_of_any_size(size, colormap):
    front_end = dataclasses.replace(
        front_ends.GUIZZO_REAL, image_size=size, colormap=colormap, silence="remove"
    )
    lengths = [4 * RATE, 2 * RATE, 1, 0]
    x, mask = jax.jit(front_end)(*batch(lengths, 4 * RATE))
    assert x.shape == (4, *front_end.input_shape) == (4, *size, 1 if colormap is None else 3)
    assert mask.shape == x.shape[:2]
    # 501, 251 and 1 of 512 frames, rounded up to whole rows.
    rows = size[0]
    expected = [-(-frames * rows // 512) for frames in (501, 251, 1, 0)]
    assert mask.sum(axis=1).tolist() == expected
    assert jnp.all(jnp.isfinite(x))
    np.testing.assert_array_equal(x[~mask], 0)


def test_resizing_uses_the_whole_padded_input():
    inputs = batch([4 * RATE], 4 * RATE)
    x, _ = jax.jit(front_ends.GUIZZO_QUATERNION)(*inputs)
    front_end = dataclasses.replace(front_ends.GUIZZO_QUATERNION, image_size=(64, 64))
    small, mask = jax.jit(front_end)(*inputs)
    expected = jax.image.resize(x, (1, 64, 64, 1), "linear")
    np.testing.assert_allclose(small[mask], expected[mask], atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"silence": "removed"}, "'removed': did you mean 'remove'"),
        ({"colormap": "viridi"}, "unknown colour map 'viridi': did you mean 'viridis'"),
        ({"image_size": (0, 9)}, "image_size: expected at least 1 x 1, found 0 x 9"),
        ({"image_size": (9, 9), "variable_length": True}, "image_size: expected none"),
        ({"fit": "padd"}, "unknown fit 'padd': did you mean 'pad'"),
        ({"fit": "resize", "variable_length": True}, "fit: expected pad"),
    ],
)
@without_type_checks()
def test_bad_settings(fields, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(front_ends.GUIZZO_REAL, **fields)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda front_end: front_end.select_speech(noise(800)),
            r"waveform 0: expected \[samples\], found .* \(\)",
        ),
        (
            lambda front_end: front_end.select_speech([noise(800)[None]]),
            r"waveform 0: expected \[samples\], found the shape \(1, 800\)",
        ),
        (
            lambda front_end: front_end(noise(800), np.array([800])),
            r"lengths must be integer of shape \(\) .* \(800,\), found int.. of shape \(1,\)",
        ),
        (
            lambda front_end: front_end.to_model_input(
                jnp.zeros((61, 64)), jnp.ones((1, 61), bool)
            ),
            r"expected spectrograms \[batch, frames, bins\] .* shapes \(61, 64\) and \(1, 61\)",
        ),
    ],
)
@without_type_checks()
def test_input_without_a_batch_axis_is_refused(call, message):
    with pytest.raises(InputError, match=message) as raised:
        call(front_ends.KAPOOR)
    assert len(str(raised.value).splitlines()) == 1
