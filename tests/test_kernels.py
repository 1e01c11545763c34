"""Functional kernels: public functions are jitted, and add nothing to a program that uses them."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import augment, features, hypercomplex, losses, ops, quaternion
from serjax.errors import InputError
from serjax.kernels import kernel

PACKAGES = {
    "augment": augment,
    "features": features,
    "hypercomplex": hypercomplex,
    "losses": losses,
    "ops": ops,
    "quaternion": quaternion,
}
# They take no arrays of the device, or make functions.
HOST = {
    *("augment.preset", "augment.register"),
    *("features.colormap", "features.frame_count", "features.mel_filterbank"),
    *("hypercomplex.kernel_initializer", "hypercomplex.multiplication_initializer"),
    *("losses.get", "losses.names", "losses.negative_log_likelihood", "losses.register"),
    *("ops.has_threaded_convolutions", "ops.use_threaded_convolutions"),
    *("quaternion.check_channels", "quaternion.polar_initializer"),
}

KEY = jax.random.key(0)
WAVEFORM = np.sin(np.arange(2 * 1600, dtype=np.float32)).reshape(2, 1600)
LENGTHS = np.array([1600, 900], np.int32)
FRAMING = {"window_samples": 64, "hop_samples": 32}
MEL = {**FRAMING, "mel_bins": 4, "lengths": LENGTHS}
SPECTROGRAM = np.abs(np.sin(np.arange(2 * 20 * 8, dtype=np.float32))).reshape(2, 20, 8)
MASK = np.arange(20) < np.array([[20], [11]])
IMAGE = SPECTROGRAM.reshape(2, 4, 10, 4)
KERNEL = np.ones((4, 3, 3, 1, 2), np.float32)
REAL_KERNEL = np.ones((3, 3, 4, 2), np.float32)
STEPS = (2, 1), ((1, 1), (1, 1))
TENSOR = hypercomplex.QUATERNION_MULTIPLICATION
LOGITS, LABELS = SPECTROGRAM[:, 0], np.array([1, 3])

CALLS = {
    "augment.add_noise": ((KEY, WAVEFORM, LENGTHS), {"snr_db": (10.0, 20.0)}),
    "augment.brightness": ((KEY, SPECTROGRAM), {"mask": MASK}),
    "augment.change_speed": ((KEY, WAVEFORM, LENGTHS), {"factors": (0.9, 1.1)}),
    "augment.contrast": ((KEY, SPECTROGRAM), {"factors": (0.5, 2.0), "mask": MASK}),
    "augment.elastic": ((KEY, SPECTROGRAM), {"smoothness": 2.0, "mask": MASK}),
    "augment.elastic_displacement": ((KEY, (2, 20, 8)), {}),
    "augment.flip": ((KEY, SPECTROGRAM), {"axis": "time", "mask": MASK}),
    "augment.gain": ((KEY, WAVEFORM), {}),
    "augment.rotate": ((KEY, SPECTROGRAM), {"mask": MASK, "fill": 0.5}),
    "augment.scale": ((KEY, SPECTROGRAM), {"mask": MASK, "fill": "mean"}),
    "augment.shift": ((KEY, WAVEFORM, LENGTHS), {"largest_samples": 9}),
    "augment.spec_augment": (
        (KEY, SPECTROGRAM, augment.SpecAugmentPolicy(3, 5, 0.2)),
        {"mask": MASK},
    ),
    "augment.spec_augment_mask": ((KEY, MASK, 32), {"policy": "conservative"}),
    "features.colorize": ((SPECTROGRAM,), {"name": "jet"}),
    "features.frame_mask": ((LENGTHS, 30), {}),
    "features.imagenet_normalize": ((SPECTROGRAM[..., :3],), {}),
    "features.log_mel_spectrogram": ((WAVEFORM,), {**MEL, "top_db": 80.0}),
    "features.log_power": ((SPECTROGRAM,), {"log": "natural"}),
    "features.magnitude_spectrogram": ((WAVEFORM,), {**FRAMING, "power": 2.0}),
    "features.mel_spectrogram": ((WAVEFORM, 8000), MEL),
    "features.mfcc": ((WAVEFORM,), {**MEL, "coefficients": 3}),
    "features.normalize": ((SPECTROGRAM, MASK), {"method": "standard", "axes": (-2,)}),
    "features.normalize_level": ((WAVEFORM, LENGTHS), {}),
    "features.remove_offset": ((WAVEFORM, LENGTHS), {}),
    "features.remove_silence": ((WAVEFORM, LENGTHS), {}),
    "features.remove_unvoiced": ((WAVEFORM, LENGTHS), {}),
    "features.resize": ((SPECTROGRAM, (5, 6)), {}),
    "features.stft": ((WAVEFORM,), {"window": ("kaiser", 4.0), **FRAMING}),
    "features.voiced_chunks": ((WAVEFORM, LENGTHS), {}),
    "features.voiced_frames": ((WAVEFORM, LENGTHS), {}),
    "hypercomplex.block_matrix": ((TENSOR, KERNEL), {}),
    "hypercomplex.conv": ((IMAGE, TENSOR, KERNEL), {"strides": [2, 1]}),
    "hypercomplex.conv_transpose": ((IMAGE, TENSOR, KERNEL), {"strides": 2}),
    "hypercomplex.dense": ((IMAGE, TENSOR, KERNEL[:, 0, 0]), {}),
    "losses.anti_transfer_loss": ((IMAGE, IMAGE), {"beta": 0.5}),
    "losses.binary_cross_entropy": ((SPECTROGRAM, SPECTROGRAM), {}),
    "losses.cross_entropy": ((LOGITS, LABELS, {"conv1": jnp.ones(2)}), {}),
    "losses.emotion_loss": ((LOGITS, LOGITS, LABELS, LOGITS), {"weight": jnp.float32(0.1)}),
    "ops.add_bias": ((IMAGE, IMAGE[0, 0, 0]), {}),
    "ops.channel_sum": ((IMAGE,), {}),
    "ops.conv": ((IMAGE, REAL_KERNEL, *STEPS, (1, 1)), {}),
    "ops.conv_general_dilated": (
        (IMAGE, REAL_KERNEL, (1, 1), "SAME"),
        {
            "dimension_numbers": jax.lax.conv_dimension_numbers(
                IMAGE.shape, REAL_KERNEL.shape, ("NHWC", "HWIO", "NHWC")
            )
        },
    ),
    "ops.conv_transpose": ((IMAGE, REAL_KERNEL, (2, 2), "SAME"), {}),
    "ops.over_batch": ((IMAGE[0, 0, 0], (2, 3, 4)), {}),
    "quaternion.block_matrix": ((KERNEL,), {}),
    "quaternion.conjugate": ((IMAGE,), {}),
    "quaternion.conv": ((IMAGE, KERNEL), {"padding": [(1, 1), (0, 2)], "form": "eight"}),
    "quaternion.conv_transpose": ((IMAGE, KERNEL), {"strides": 2}),
    "quaternion.dense": ((IMAGE, KERNEL[:, 0, 0]), {"form": "block"}),
    "quaternion.hamilton_product": ((IMAGE, IMAGE), {}),
    "quaternion.modulus": ((IMAGE,), {}),
}


def test_every_public_function_of_arrays_is_a_kernel():
    public = {
        f"{package}.{name}"
        for package, module in PACKAGES.items()
        for name in module.__all__
        if inspect.isfunction(getattr(module, name))
    }
    assert public - HOST == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_kernel_adds_nothing_to_the_program_that_calls_it(name):
    """The program of a caller is the one of the plain function, to the last operation."""
    package, _, attribute = name.partition(".")
    function = getattr(PACKAGES[package], attribute)
    arguments, options = CALLS[name]
    arrays = [i for i, value in enumerate(arguments) if isinstance(value, np.ndarray | jax.Array)]

    def program(function):
        def caller(*values):
            traced = dict(zip(arrays, values, strict=True))
            return function(*(traced.get(i, v) for i, v in enumerate(arguments)), **options)

        return str(jax.make_jaxpr(caller)(*(arguments[i] for i in arrays)))

    program_of_kernel = program(function)
    assert program_of_kernel == program(function.__wrapped__)
    kernels = {name.partition(".")[2] for name in CALLS}
    assert kernels.isdisjoint(re.findall(r"name=(\w+)", program_of_kernel))


def test_a_kernel_is_traced_once_for_equal_shapes_and_options():
    traces = []

    @kernel
    def scaled(x, size=(1,), *, features=None, factor=1.0):
        traces.append((size, factor))
        return x * factor * sum(size)

    x = np.ones(3, np.float32)
    for size in ([2, 3], (2, 3)):
        np.testing.assert_array_equal(scaled(x, size, features={"a": x}), [5, 5, 5])
    assert traces == [((2, 3), 1.0)]
    scaled(x, factor=2.0)
    scaled(2 * x, factor=2.0)
    np.testing.assert_array_equal(jax.jit(scaled)(x), x)
    assert len(traces) == 3
    with pytest.raises(TypeError, match=r"scaled\(\) got multiple values for argument 'size'"):
        scaled(x, (1,), size=(2,))
    with pytest.raises(TypeError, match=r"scaled\(\) takes from 1 to 2 positional"):
        scaled(x, (1,), 2.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sizes'"):
        scaled(x, sizes=(2,))


def test_errors_of_a_kernel_are_its_own():
    with pytest.raises(InputError, match="quaternion conv: a kernel for input"):
        quaternion.conv(IMAGE, np.ones((4, 3, 3, 2, 2), np.float32))
