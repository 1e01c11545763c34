"""Flags that follow from the declared options."""

import json
import sys

import pytest

from serjax import options
from serjax.cli import flags
from serjax.cli.parser import Parser
from serjax.errors import InputError
from serjax.losses import registry
from serjax.training.checks import check_config
from serjax.training.config import RunConfig


@pytest.fixture
def parser():
    parser = Parser("Test.", prog="test")
    flags.add_config(parser)
    flags.add_folder(parser)
    return parser


def read(parser, *arguments, **values):
    return flags.read_config(parser.parse_args([*map(str, arguments)]), **values)


def test_every_option_has_its_flag(parser):
    flags_of_parser = {name for action in parser._actions for name in action.option_strings}
    for each in options.options_of(RunConfig).values():
        assert each.flag is None or each.flag in flags_of_parser
        assert each.declaration.help.endswith(".") or each.declaration.help.endswith(").")


def test_nothing_typed_is_the_default(parser):
    assert read(parser) == RunConfig()


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["--model", "dscnn", "--epochs", 3], {"model": "dscnn", "epochs": 3}),
        (["--learning-rate", "1e-3"], {"learning_rate": 1e-3}),
        (["--fractions", 0.5, 0.25, 0.25], {"fractions": (0.5, 0.25, 0.25)}),
        (["--image-size", 64, 32], {"image_size": (64, 32)}),
        (["--no-sync-batch-norm", "--stream"], {"sync_batch_norm": False, "stream": True}),
        (["--skip-bad-files"], {"skip_bad_files": True}),
        (
            ["--model-option", "hidden=8", "--model-option", "pool=mean"],
            {"model_options": {"hidden": 8, "pool": "mean"}},
        ),
        (
            ["--freeze", "head=5", "--freeze", "stage1"],
            {"freeze": {"head": 5, "stage1": None}},
        ),
        (["--step-decay", 3, 2, 0.5], {"step_decay": (3.0, 2.0, 0.5)}),
        (["--augment", "none"], {"augment": "none"}),
    ],
)
def test_flags_set_their_options(parser, arguments, values):
    assert read(parser, *arguments) == RunConfig.make(**values)


def test_flags_override_the_file(parser, tmp_path):
    config = RunConfig.make(
        model="dscnn",
        epochs=7,
        dataset_options={"speakers": 4, "words": 2},
        fractions=(0.8, 0.1, 0.1),
    )
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**options.to_json(config), "classes": ["a"], "notes": []}))
    assert read(parser, "--config", path) == config
    changed = read(parser, "--config", path, "--epochs", 2, "--dataset-option", "words=3")
    assert changed == config.replace(epochs=2, dataset_options={"speakers": 4, "words": 3})


def test_a_bad_file_is_named(parser, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("optimizer:\n  epoch: 3\n")
    with pytest.raises(InputError, match=r"config.yaml: optimizer: unknown key 'epoch'.*'epochs'"):
        read(parser, "--config", path)


def test_errors_name_the_flag(parser):
    for arguments, message in (
        (["--batch-size", 0], "--batch-size: expected at least 1, found 0"),
        (["--model", "svm", "--epochs", 3], "--epochs: expected none with svm, found 3"),
        (["--seed", -1], "--seed: expected 0 to"),
        (["--model-option", "3"], "--model-option: expected KEY=VALUE"),
        (["--freeze", "a=b"], "--freeze: expected LAYERS or LAYERS=STEP"),
        (["--epochs", "x"], "--epochs: invalid int value: 'x'; see test --help"),
        (["--epoch", 3], r"unknown flag '--epoch': did you mean '--epochs'\?"),
    ):
        with pytest.raises(InputError, match=message), parser.naming_flags():
            check_config(read(parser, *arguments))


def test_modules_are_imported_first(parser, tmp_path, monkeypatch):
    (tmp_path / "my_losses_module.py").write_text(
        "from serjax import losses\n\n\n"
        "@losses.register('a_loss_of_a_user')\n"
        "def loss(logits, labels, features):\n    return logits[:, 0]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(registry, "_LOSSES", dict(registry._LOSSES))
    config = read(parser, "--import", "my_losses_module", "--loss", "a_loss_of_a_user")
    check_config(config)
    assert config.imports == ("my_losses_module",)
    with (
        pytest.raises(InputError, match="--import: expected a module 'no_module'"),
        parser.naming_flags(),
    ):
        read(parser, "--import", "no_module")


def test_a_file_imports_nothing_unless_it_is_typed_too(parser, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    file = tmp_path / "config.json"
    file.write_text('{"imports": ["planted"]}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(InputError, match=r"names modules to import; .*--import planted"):
        read(parser, "--config", str(file))
    assert not (tmp_path / "ran").exists()
    assert read(parser, "--config", str(file), "--import", "planted").imports == ("planted",)
    assert (tmp_path / "ran").exists()


def test_help_shows_the_common_flags_first(parser, capsys):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--help"])
    assert ended.value.code == 0
    short = capsys.readouterr().out
    common = [o for o in options.options_of(RunConfig).values() if o.declaration.common]
    assert 5 <= len(common) <= 10
    for each in options.options_of(RunConfig).values():
        if each.flag is not None:
            assert (f"\n  {each.flag}" in short) == (each in common)
    assert "test --help-all shows" in short
    with pytest.raises(SystemExit):
        parser.parse_args(["--help-all"])
    long = capsys.readouterr().out
    for each in options.options_of(RunConfig).values():
        assert each.flag is None or each.flag in long
    # Choices that are registered at run time are listed.
    for name in ("conservative", "shard_map", "viridis", "iemocap_exp1", "emodb"):
        assert name in long
