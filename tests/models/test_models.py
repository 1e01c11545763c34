"""Networks: published sizes, interface, PyTorch's results, padding, and errors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.errors import InputError
from tests.helpers.networks import assert_close, count, normal, random_variables, variable_shapes

# Options that make each network small, and an input it accepts.
SMALL = {
    "vgg16": ({"stages": ((4,), (8,)), "hidden": 16, "dropout_rate": 0.0}, (32, 16, 1)),
    "quat_vgg16": ({"stages": ((8,), (8,)), "hidden": 16, "dropout_rate": 0.0}, (64, 16, 1)),
    "vgg11": ({"stages": ((8,), (8,)), "pool": 2, "hidden": 16, "dropout_rate": 0.0}, (8, 12, 1)),
    "quat_vgg11": (
        {"stages": ((8,), (8,)), "pool": 2, "hidden": 16, "dropout_rate": 0.0},
        (64, 16, 1),
    ),
    "alexnet": ({"hidden": 16, "dropout_rate": 0.0}, (63, 64, 1)),
    "quat_alexnet": ({"hidden": 16, "dropout_rate": 0.0}, (504, 128, 1)),
    "squeezenet": ({"fires": (((4, 8),),), "dropout_rate": 0.0}, (17, 24, 1)),
    "quat_squeezenet": ({"fires": (((4, 8),),), "dropout_rate": 0.0}, (136, 48, 1)),
    "inception_v3": ({"blocks": (0, 0, 0), "dropout_rate": 0.0}, (75, 91, 1)),
    "quat_inception_v3": ({"blocks": (0, 0, 0), "dropout_rate": 0.0}, (600, 150, 1)),
    "dscnn": ({"hidden": 32, "dropout_rate": 0.0}, (128, 128, 1)),
    "quat_dscnn": ({"hidden": 32, "dropout_rate": 0.0}, (128, 32, 1)),
    "resnet34_stats": ({"blocks": (1, 1), "channels": 8, "hidden": 16}, (40, 32, 1)),
    "quat_resnet34_stats": ({"blocks": (1, 1), "channels": 8, "hidden": 16}, (160, 32, 1)),
    "resnet18": ({"blocks": (1, 1), "channels": 8}, (40, 32, 1)),
    "quat_resnet18": ({"blocks": (1, 1), "channels": 8}, (160, 32, 1)),
    "resnet50": ({"blocks": (1, 1), "channels": 4}, (40, 32, 1)),
    "quat_resnet50": ({"blocks": (1, 1), "channels": 4}, (160, 32, 1)),
    "tiwari_cnn": ({"channels": (4, 8), "hidden": 16, "dropout_rate": 0.0}, (32, 16, 1)),
    "quat_tiwari_cnn": ({"channels": (4, 8), "hidden": 16, "dropout_rate": 0.0}, (64, 16, 1)),
    "rhemo": ({"hidden": 16}, (64, 16, 1)),
    "quat_rhemo": ({"hidden": 16}, (64, 16, 1)),
}
# Hypercomplex networks take the same input as quaternion ones.
SMALL |= {
    f"phm{n}_{name.removeprefix('quat_')}": case
    for name, case in SMALL.items()
    if name.startswith("quat_")
    for n in (2, 4)
}
# Every network is one class over an algebra. In algebras other than the real one, a few represent
# all by default; the others take ten minutes more.
_REPRESENTATIVE = ("quat_vgg16", "quat_dscnn", "quat_resnet34_stats", "phm4_vgg16")
NAMES = [
    pytest.param(
        name,
        marks=[pytest.mark.slow]
        if name.startswith(("quat_", "phm")) and name not in _REPRESENTATIVE
        else [],
    )
    for name in SMALL
]
# Families whose small networks equal those of another family.
ALIKE = ("vgg13", "vgg19", "resnet34", "wide_resnet50")


# --- Published sizes -----------------------------------------------------------------------------


def test_real_vgg16_has_the_published_number_of_parameters():
    # Guizzo et al. (2023): 165.7 M with 4 classes on 512 x 128.
    variables = variable_shapes(models.create("vgg16", 4), (1, 512, 128, 1))
    assert count(variables["params"]) == 165_733_060


def test_quaternion_vgg16_has_the_published_number_of_parameters():
    # Guizzo et al. (2023): 10.0 M on the 64 x 64 embedding; the encoder, with its norms, has 256.
    network = variable_shapes(models.create("quat_vgg16", 4, embedding=False), (1, 64, 64, 4))
    assert count(network["params"]) == 9_998_020
    embedded = variable_shapes(models.create("quat_vgg16", 4), (1, 512, 128, 1))
    assert count(embedded["params"]) == 9_998_020 + 256
    assert count(embedded["params"]["embedding"]) == 256


@pytest.mark.parametrize("n", [2, 4])
def test_hypercomplex_vgg16_has_an_nth_of_the_weights(n):
    # Grassucci et al. (2022): 1/n of the weights, and n³ for the multiplication of each layer.
    def params(name):
        return variable_shapes(models.create(name, 4, embedding=False), (1, 64, 64, 4))["params"]

    real, hyper = params("vgg16"), params(f"phm{n}_vgg16")
    head = real.pop("head")
    assert hyper.pop("head") == head
    weights = sum(math.prod(layer["kernel"].shape) for layer in real.values())
    biases = sum(math.prod(layer["bias"].shape) for layer in real.values())
    assert count(hyper) == weights // n + biases + 15 * n**3


def test_vgg16_on_images_has_the_parameters_of_simonyan_and_zisserman():
    # torchvision.models.vgg16: 138,357,544 parameters for 224 x 224 x 3 and 1000 classes.
    variables = variable_shapes(models.create("vgg16", 1000), (1, 224, 224, 3))
    assert count(variables["params"]) == 138_357_544


def test_resnet34_on_images_has_the_parameters_of_he_et_al():
    # torchvision.models.resnet34: 21,797,672 parameters, of which 513,000 are its classifier. Here
    # each of its 33 activations also has a slope.
    params = variable_shapes(models.create("resnet34_stats", 2, channels=64), (1, 64, 64, 3))
    params = params["params"]
    classifier = sum(count(params[n]) for n in ("dense1", "dense1_norm", "dense1_act", "head"))
    assert count(params) - classifier == 21_797_672 - 513_000 + 33


def test_dscnn_has_the_published_size():
    # Deepika & Kuchibhotla (2025): 34.5 MB; with one slot of an optimizer for every parameter.
    variables = variable_shapes(models.create("dscnn", 7), (1, 128, 128, 1))
    assert 2 * 4 * count(variables["params"]) / 2**20 == pytest.approx(34.3, abs=0.05)


# --- The networks' interface ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "x_shape", "convolutions"),
    [
        ("vgg16", (2, 512, 128, 1), 13),
        ("dscnn", (2, 128, 128, 1), 7),
        ("resnet34_stats", (2, 300, 128, 1), 33),
        ("resnet18", (2, 512, 128, 1), 17),
        ("resnet34", (2, 512, 128, 1), 33),
        ("resnet50", (2, 512, 128, 1), 49),
        ("wide_resnet50", (2, 512, 128, 1), 49),
        ("tiwari_cnn", (2, 256, 128, 1), 5),
    ],
)
@pytest.mark.parametrize("prefix", ["", "quat_", "phm2_"])
def test_features_are_named_in_order(name, x_shape, convolutions, prefix):
    x_shape = (2, 512, 128, 1) if prefix else x_shape
    model = models.create(prefix + name, 5)
    names = []

    def apply(variables, x):
        result = model.apply(variables, x)
        names.extend(result[1])  # here, because transformations sort dictionaries
        return result

    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    logits, features = jax.eval_shape(apply, variable_shapes(model, x_shape), x)
    assert logits.shape == (2, 5)
    assert logits.dtype == jnp.float32
    expected = [f"conv{i}" for i in range(1, convolutions + 1)]
    assert names == ["embedding"] * bool(prefix) + expected
    if prefix:
        assert features["embedding"].shape == (2, 64, 64, 4)
    sizes = [math.prod(features[n].shape[1:3]) for n in names]
    assert sizes == sorted(sizes, reverse=True)


def test_every_network_has_a_small_test_case():
    alike = {prefix + name for prefix in ("", "quat_", "phm2_", "phm4_") for name in ALIKE}
    assert {*SMALL, *alike} == set(models.names())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_forward_and_backward_are_finite(name, dtype):
    options, x_shape = SMALL[name]
    model = models.create(name, 3, dtype=dtype, **options)
    x = jnp.asarray(np.abs(normal(1, 3, *x_shape)))

    @jax.jit
    def gradient(variables, x):
        def loss(params):
            (logits, features), updates = model.apply(
                {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
            )
            # Features other than convolutions and the embedding are further results.
            others = [features[n] for n in features if n[:4] != "conv" and n != "embedding"]
            total = sum(jnp.sum(jnp.square(result)) for result in (logits, *others))
            return total, (logits, features, updates)

        return jax.grad(loss, has_aux=True)(variables["params"])

    # Flax's own batch norm promotes implicitly.
    with jax.numpy_dtype_promotion("strict" if dtype == jnp.float32 else "standard"):
        variables = random_variables(model, (1, *x_shape))
        gradients, (logits, features, updates) = gradient(variables, x)
    assert logits.shape == (3, 3)
    assert logits.dtype == jnp.float32
    assert {f.dtype for n, f in features.items() if n[:4] == "conv"} == {jnp.dtype(dtype)}
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, variables["params"])
    for leaf in jax.tree.leaves((gradients, logits, features, updates)):
        assert jnp.all(jnp.isfinite(leaf))
    # Every layer has a gradient; bfloat16 rounds those before a norm over three examples to zero.
    assert dtype == jnp.bfloat16 or all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradients))


def test_eager_equals_jit():
    options, x_shape = SMALL["vgg16"]
    model = models.create("vgg16", 3, **options)
    variables = random_variables(model, (1, *x_shape))
    x = jnp.asarray(normal(1, 2, *x_shape))
    assert_close(jax.jit(model.apply)(variables, x)[0], model.apply(variables, x)[0], 1e-5)


# --- Comparison with PyTorch ---------------------------------------------------------------------


class Torch:
    """PyTorch's layers with given weights, on `[batch, channels, frames, bins]`."""

    def __init__(self, params, stats=None):
        self.torch = pytest.importorskip("torch")
        self.layers = self.torch.nn.functional
        self.params, self.stats = params, stats or {}

    def tensor(self, x):
        return self.torch.from_numpy(np.array(x))

    def conv(self, x, name, **options):
        p = self.params[name]
        weight = self.tensor(np.asarray(p["kernel"]).transpose(3, 2, 0, 1))
        bias = self.tensor(p["bias"]) if "bias" in p else None
        return self.layers.conv2d(x, weight, bias, **options)

    def dense(self, x, name):
        p = self.params[name]
        return self.layers.linear(x, self.tensor(p["kernel"]).T, self.tensor(p["bias"]))

    def norm(self, x, name, train):
        p, s = self.params[name], self.stats[name]
        # PyTorch's momentum is the weight of the new value; the statistics are updated in place.
        mean, var = self.tensor(s["mean"]), self.tensor(s["var"])
        y = self.layers.batch_norm(
            x, mean, var, self.tensor(p["scale"]), self.tensor(p["bias"]), train, 0.1, 1e-5
        )
        return y, mean

    def prelu(self, x):
        return self.layers.prelu(x, self.torch.tensor([0.25]))


def test_vgg_equals_pytorch():
    model = models.create("vgg16", 4, stages=((6, 6), (8,)), hidden=24)
    x = normal(1, 3, 16, 12, 1)
    variables = random_variables(model, x.shape)
    t = Torch(variables["params"])
    y = t.tensor(x.transpose(0, 3, 1, 2))
    for index in (1, 2, 3):
        y = t.layers.relu(t.conv(y, f"conv{index}", padding=1))
        if index > 1:
            y = t.layers.max_pool2d(y, 2)
    y = y.permute(0, 2, 3, 1).flatten(1)
    for name in ("dense1", "dense2"):
        y = t.layers.relu(t.dense(y, name))
    logits, _ = jax.jit(model.apply)(variables, jnp.asarray(x))
    assert_close(logits, t.dense(y, "head").numpy())


@pytest.mark.parametrize("train", [True, False])
def test_resnet_equals_pytorch(train):
    model = models.create("resnet34_stats", 4, blocks=(1, 2), channels=8, hidden=16)
    x = normal(1, 4, 41, 24, 1)
    variables = random_variables(model, x.shape)
    params, stats = variables["params"], variables["batch_stats"]
    top = Torch(params, stats)
    means = {}

    def block(y, name, stride):
        t = Torch(params[name], stats[name])
        z, _ = t.norm(t.conv(y, "conv1", stride=stride, padding=1), "norm1", train)
        z, means[name] = t.norm(t.conv(t.prelu(z), "conv2", padding=1), "norm2", train)
        if "projection" in params[name]:
            y, _ = t.norm(t.conv(y, "projection", stride=stride), "norm_projection", train)
        return t.prelu(y + z)

    y = top.conv(top.tensor(x.transpose(0, 3, 1, 2)), "stem_conv", stride=2, padding=3)
    y = top.prelu(top.norm(y, "stem_norm", train)[0])
    y = top.layers.max_pool2d(y, 3, 2, padding=1)
    y = block(y, "stage1_block1", 1)
    y = block(y, "stage2_block1", 2)
    y = block(y, "stage2_block2", 1)
    y = y.permute(0, 2, 3, 1).flatten(2)
    deviation = top.torch.sqrt(y.var(1, unbiased=False) + 1e-5)
    y = top.dense(top.torch.cat([y.mean(1), deviation], -1), "dense1")
    y, _ = top.norm(y, "dense1_norm", train)
    expected = top.dense(top.prelu(y), "head").numpy()

    apply = jax.jit(lambda v, x: model.apply(v, x, train=train, mutable=["batch_stats"]))
    (logits, _), updates = apply(variables, jnp.asarray(x))
    assert_close(logits, expected)
    for name, mean in means.items():
        assert_close(updates["batch_stats"][name]["norm2"]["mean"], mean.numpy())


# --- Padded batches ------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [(1, 1, 1), pytest.param((3, 4, 6, 3), marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", ["resnet34_stats", "quat_resnet34_stats", "resnet50", "quat_resnet50"]
)
def test_a_padded_utterance_has_the_logits_it_has_without_padding(name, blocks):
    lengths = (93, 64, 33, 17, 1)
    channels = 4 if name.startswith("quat_") else 1
    options = {} if channels == 1 else {"embedding": False}
    model = models.create(name, 3, channels=8, blocks=blocks, **options)
    utterances = [normal(i, n, 24, channels) for i, n in enumerate(lengths)]
    variables = random_variables(model, (1, 32, 24, channels))
    apply = jax.jit(model.apply)
    # Padded frames may have any value: here NaN, and values that are too large.
    batch = np.full((len(lengths), 97, 24, channels), np.nan, np.float32)
    batch[1] = 1e30
    mask = np.arange(97) < np.array(lengths)[:, None]
    for row, utterance in zip(batch, utterances, strict=True):
        row[: len(utterance)] = utterance
    logits, _ = apply(variables, jnp.asarray(batch), mask=jnp.asarray(mask))
    expected = [apply(variables, jnp.asarray(u)[None])[0][0] for u in utterances]
    assert_close(logits, np.stack(expected))


@pytest.mark.parametrize("name", NAMES)
def test_entries_that_fill_a_batch_do_not_change_training(name):
    options, x_shape = SMALL[name]
    model = models.create(name, 3, **options)
    variables = random_variables(model, (1, *x_shape))
    x = np.abs(normal(1, 3, *x_shape))
    filled = np.concatenate([x, 100 * np.abs(normal(2, 2, *x_shape))])
    mask = np.arange(5)[:, None] < np.full(x_shape[0], 3)
    train = jax.jit(
        lambda v, x, mask: model.apply(v, x, train=True, mask=mask, mutable=["batch_stats"])
    )
    (expected, _), expected_updates = train(variables, jnp.asarray(x), jnp.asarray(mask[:3]))
    (logits, _), updates = train(variables, jnp.asarray(filled), jnp.asarray(mask))
    assert_close(logits[:3], expected)
    assert jax.tree.structure(updates) == jax.tree.structure(expected_updates)
    jax.tree.map(assert_close, updates, expected_updates)


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [lambda n: models.create(n, 4), models.front_end])
def test_the_nearest_name_is_suggested_for_an_unknown_model(function):
    message = (
        f"unknown model 'vgg_16': did you mean 'vgg16'. {len(models.names())} are known.*vgg13"
    )
    with pytest.raises(InputError, match=message):
        function("vgg_16")


def test_the_nearest_name_is_suggested_for_an_unknown_option():
    message = "unknown option of vgg16 'dropout': did you mean 'dropout_rate'.*hidden"
    with pytest.raises(InputError, match=message):
        models.create("vgg16", 4, dropout=0.1)


@pytest.mark.parametrize("option", ["algebra", "parent"])
def test_fields_that_the_name_decides_are_no_options(option):
    with pytest.raises(InputError, match=f"unknown option of quat_dscnn '{option}'"):
        models.create("quat_dscnn", 4, **{option: None})


@pytest.mark.parametrize("num_classes", [1, 0, -3])
def test_a_classifier_has_at_least_two_classes(num_classes):
    with pytest.raises(InputError, match=f"num_classes: .*at least 2, found {num_classes}"):
        models.create("vgg16", num_classes)


@pytest.mark.parametrize(
    ("name", "options", "x_shape", "message"),
    [
        ("quat_vgg16", {"hidden": 10}, (1, 64, 64, 4), "QuaternionDense, features: .*found 10"),
        ("quat_vgg16", {"stages": ((6,),)}, (1, 8, 8, 4), "QuaternionConv, features: .*found 6"),
        ("quat_resnet34_stats", {"channels": 6}, (1, 32, 32, 4), "features: .*found 6"),
        ("quat_dscnn", {}, (1, 64, 64, 3), "QuaternionConv, input: .*found 3"),
        ("phm4_vgg16", {"hidden": 10}, (1, 64, 64, 4), "PHMDense, features: .*4, found 10"),
        ("phm2_dscnn", {}, (1, 64, 64, 1), "PHMConv, input: .*2, found 1"),
    ],
)
def test_widths_are_multiples_of_the_components(name, options, x_shape, message):
    with pytest.raises(InputError, match=message):
        variable_shapes(models.create(name, 4, embedding=False, **options), x_shape)


@pytest.mark.parametrize(
    "name", ["dscnn", "tiwari_cnn", "resnet18", "resnet34_stats", "quat_dscnn"]
)
def test_a_spectrogram_without_batch_axis_is_refused(name):
    message = r"expected input \[batch, frames, bins, channels\], found shape \(64, 64, 1\)"
    with pytest.raises(InputError, match=message):
        variable_shapes(models.create(name, 4), (64, 64, 1))
