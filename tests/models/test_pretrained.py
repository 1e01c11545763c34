"""Loading of published weights, from files with torchvision's names, made without PyTorch."""

import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from serjax.errors import InputError
from serjax.models import pretrained
from tests.helpers.networks import torch_state

pytestmark = pytest.mark.usefixtures("standard_promotion")

SMALL = {"blocks": (1, 1), "channels": 8}


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "resnet.safetensors"
    save_file(torch_state(), path)
    return path


def load(path, *args, **options):
    return pretrained.load("resnet18", path, *args, **{**SMALL, **options})


def equal(tree, other):
    return jax.tree.map(np.array_equal, tree, other)


def test_every_weight_is_assigned(weights):
    state = torch_state()
    model, variables = load(weights, input_channels=3)
    params, stats = variables["params"], variables["batch_stats"]
    kernel = params["stage2_block1"]["projection"]["kernel"]
    assert kernel[0, 0, 3, 5] == state["layer2.0.downsample.0.weight"][5, 3, 0, 0]
    kernel = params["stem_conv"]["kernel"]
    assert kernel[4, 6, 2, 7] == state["conv1.weight"][7, 2, 4, 6]
    kernel = params["head"]["kernel"]
    assert kernel[11, 2] == state["fc.weight"][2, 11]
    for values, name in (
        (params["stem_norm"]["scale"], "bn1.weight"),
        (params["stem_norm"]["bias"], "bn1.bias"),
        (stats["stage2_block1"]["norm_projection"]["mean"], "layer2.0.downsample.1.running_mean"),
        (stats["stage1_block1"]["norm2"]["var"], "layer1.0.bn2.running_var"),
        (params["head"]["bias"], "fc.bias"),
    ):
        np.testing.assert_array_equal(values, state[name])
    assert model.num_classes == 5
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == sum(
        value.size for name, value in state.items() if not name.endswith("tracked")
    )


def test_one_channel_gives_the_logits_of_three_equal_ones(weights, key):
    x = jax.random.normal(key, (2, 32, 48, 1))
    image_model, image_variables = load(weights, input_channels=3)
    expected, _ = image_model.apply(image_variables, jnp.tile(x, 3))
    model, variables = load(weights)
    assert variables["params"]["stem_conv"]["kernel"].shape == (7, 7, 1, 8)
    np.testing.assert_allclose(model.apply(variables, x)[0], expected, rtol=1e-5)


def test_the_head_is_initialized_for_other_classes(weights):
    _, whole = load(weights, 5)
    model, variables = load(weights, 3)
    assert model.num_classes == 3
    head = variables["params"].pop("head")
    whole["params"].pop("head")
    assert jax.tree.all(equal(variables, whole))
    assert head["kernel"].shape == (16, 3)
    assert 0 < jnp.std(head["kernel"]) < 0.02  # `HEAD_INIT`
    assert not jnp.any(head["bias"])
    _, again = load(weights, 3, key=jax.random.key(0))
    np.testing.assert_array_equal(again["params"]["head"]["kernel"], head["kernel"])
    _, other = load(weights, 3, key=jax.random.key(1))
    assert not jnp.any(other["params"]["head"]["kernel"] == head["kernel"])


def test_a_dense_layer_that_was_not_published_is_initialized(weights):
    _, whole = load(weights, input_channels=3)
    model, variables = load(weights, 3, input_channels=3, hidden=6, pooling="max")
    assert (model.hidden, model.pooling) == (6, "max")
    dense, head = variables["params"].pop("dense1"), variables["params"].pop("head")
    whole["params"].pop("head")
    assert jax.tree.all(equal(variables, whole))
    assert dense["kernel"].shape == (16, 6)
    assert jnp.any(dense["kernel"])
    assert head["kernel"].shape == (6, 3)


def test_layers_are_initialized_on_request(weights):
    _, whole = load(weights)
    _, variables = load(weights, fresh=("head", "stage2_block1/norm.*", ".*/conv2"))
    for collection, initialized in (
        ("params", {"head", "norm1", "norm2", "norm_projection", "conv2"}),
        ("batch_stats", {"norm1", "norm2", "norm_projection"}),
    ):
        for block, layers in equal(whole[collection], variables[collection]).items():
            for layer, same in layers.items() if "block" in block else [(block, layers)]:
                is_new = layer in initialized
                is_new &= not (block == "stage1_block1" and "norm" in layer)
                assert jax.tree.all(same) is not is_new, (block, layer)
    norm = variables["batch_stats"]["stage2_block1"]["norm1"]
    assert np.all(norm["mean"] == 0)
    assert np.all(norm["var"] == 1)


def test_weights_have_the_requested_type(weights, tmp_path):
    half = {n: v.astype(np.float16) for n, v in torch_state().items() if v.ndim}
    save_file(half, tmp_path / "half.safetensors")
    _, variables = load(tmp_path / "half.safetensors")
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    np.testing.assert_array_equal(variables["params"]["head"]["bias"], half["fc.bias"])
    _, variables = load(weights, param_dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {
        jnp.dtype(jnp.bfloat16)
    }


# --- Errors --------------------------------------------------------------------------------------


def changed(state, drop=(), add=()):
    remaining = {name: value for name, value in state.items() if name not in drop}
    return remaining | {name: np.zeros(shape, "f") for name, shape in add}


@pytest.mark.parametrize(
    ("drop", "add", "message"),
    [
        (["bn1.bias"], [], r"not weights of resnet18: 1 missing \(bn1.bias\)$"),
        (["fc.bias"], [], r": 1 missing \(fc.bias\); .*fc.weight: expected \(2, 16\)"),
        ([], [("layer3.0.conv1.weight", (4,))], r": 1 unknown \(layer3.0.conv1.weight\)$"),
        (
            [],
            [(f"head.{i}", (1,)) for i in range(5)],
            r"5 unknown \(head.0, head.1, head.2, ...\)$",
        ),
        (
            [],
            [("layer1.0.conv1.weight", (8, 9, 3, 3))],
            r"1 of another shape \(layer1.0.conv1.weight: expected \(8, 8, 3, 3\), found \(8, 9, 3",
        ),
        (["bn1.bias"], [("bn1.beta", (8,))], r"1 missing \(bn1.bias\); 1 unknown \(bn1.beta\)$"),
        (
            [],
            [("fc.weight", (5,))],
            r"of another shape \(fc.weight: expected \(5, 16\), found \(5,",
        ),
    ],
)
def test_weights_that_do_not_match_are_listed(tmp_path, drop, add, message):
    path = tmp_path / "w.safetensors"
    save_file(changed(torch_state(), drop, add), path)
    with pytest.raises(InputError, match=message) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 2}, "input_channels: expected 1 or 3, found 2"),
        ({"num_classes": 1}, "num_classes: a classifier needs at least 2, found 1"),
        ({"num_classes": 0}, "num_classes: a classifier needs at least 2, found 0"),
        ({"fresh": ["haed"]}, "'haed': expected to match a layer, found .*"),
        ({"width": 3}, "unknown option of resnet18 'width'"),
    ],
)
def test_invalid_arguments_are_refused(weights, arguments, message):
    with pytest.raises(InputError, match=message):
        load(weights, **arguments)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet_50", "unknown model 'resnet_50': did you mean 'resnet50'"),
        ("quat_resnet50", "no published weights of quat_resnet50; there are of vgg11"),
        ("dscnn", "no published weights of dscnn"),
    ],
)
def test_models_without_weights_are_refused(weights, name, message):
    with pytest.raises(InputError, match=message):
        pretrained.load(name, weights)


def write(content):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.pth", lambda path: None, "expected a checkpoint, found no such file or folder"),
        ("w.onnx", write(b"x"), "expected a file named .safetensors, .pth or .pt, found .onnx"),
        ("weights", write(b"x"), "expected a file named .*, found no suffix"),
        ("w.safetensors", write(b"x" * 100), "not a safetensors file: "),
        ("w.safetensors", write(b""), "not a safetensors file: "),
    ],
)
def test_files_without_weights_are_refused(tmp_path, name, make, message):
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=message) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


class _Executed:
    """Object that would end the test run when it is unpickled."""

    def __reduce__(self):
        return sys.exit, (3,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * 100, "not a file of tensors that PyTorch can read"),
        (b"", "not a file of tensors that PyTorch can read"),
        (pickle.dumps(_Executed(), protocol=2), "not a file of tensors that PyTorch can read"),
        ([1, 2], "expected tensors by name, found list"),
        ({"epoch": 3}, "expected tensors by name, found int under 'epoch'"),
    ],
    ids=("other bytes", "empty", "code", "list", "numbers"),
)
def test_pytorch_files_without_weights_are_refused(tmp_path, content, message):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=message) as refused:
        load(path)
    assert "\n" not in str(refused.value)


def test_pytorch_files_of_half_precision_are_read(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    state = {n: torch.from_numpy(np.array(v)).bfloat16() for n, v in torch_state().items()}
    torch.save(state, tmp_path / "w.pt")
    _, variables = load(tmp_path / "w.pt")
    expected = state["fc.bias"].float().numpy()
    np.testing.assert_array_equal(variables["params"]["head"]["bias"], expected)


@pytest.mark.parametrize(
    ("package", "suffix", "extra"),
    [("safetensors", "safetensors", "pretrained"), ("torch", "pth", "torch")],
)
def test_a_missing_package_is_named(monkeypatch, tmp_path, package, suffix, extra):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(b"")
    for name in (package, f"{package}.numpy"):  # the second may be imported already
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"pip install 'serjax\[{extra}\]'"):
        load(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "published", "size"),
    [
        ("vgg11", "vgg11", 64),
        ("alexnet", "alexnet", 80),
        ("squeezenet", "squeezenet1_1", 64),
        ("inception_v3", "inception_v3", 96),
    ],
)
def test_every_family_is_loaded_from_a_file(name, published, size, torchvision, tmp_path):
    import torch

    torch.manual_seed(0)
    options = {"aux_logits": True, "transform_input": True} if name == "inception_v3" else {}
    options |= {"init_weights": True} if name == "inception_v3" else {}
    network = getattr(torchvision.models, published)(weights=None, num_classes=7, **options).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    model, variables = pretrained.load(name, tmp_path / "weights.pth", input_channels=3)
    x = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)
    logits, _ = model.apply(variables, jnp.asarray(x))
    with torch.no_grad():
        expected = network(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
