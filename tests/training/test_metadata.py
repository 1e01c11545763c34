"""Metadata of a run, and `config.json` as a configuration file."""

import json

import numpy as np
import pytest
from rich.console import Console

from serjax import options
from serjax.errors import InputError
from serjax.training import AuxiliaryLossConfig, RunConfig, check_config
from serjax.training.config.resolve import front_end_of, resolve
from serjax.training.input.dataset import prepare_dataset
from serjax.training.run_folder.metadata import METADATA_KEYS, device, run_metadata, versions
from serjax.training.run_folder.run_dir import open_folder

SILENT = Console(quiet=True)
CONFIG = resolve(
    RunConfig.make(
        model="quat_vgg16",
        model_options={"dropout_rate": 0.3},
        dataset_options={"speakers": 5, "words": 2},
        image_size=(64, 48),
        freeze={"head": 3, "block.*": None},
        auxiliary_losses=(
            AuxiliaryLossConfig("anti_transfer", 0.5, {"source": "runs/x", "layers": ["conv3"]}),
        ),
        step_decay=(4, 2, 0.25),
        schedule="step_decay",
        stream=False,
        seed=3,
    )
)


@pytest.fixture(scope="module")
def dataset():
    return prepare_dataset(CONFIG, front_end_of(CONFIG), SILENT)


@pytest.fixture(scope="module")
def metadata(dataset):
    return run_metadata(CONFIG, dataset, ["python", "train.py"], parameters=12)


def test_metadata_describe_the_run(dataset, metadata):
    assert set(metadata) <= set(METADATA_KEYS)
    assert metadata["classes"] == dataset.classes
    assert metadata["parameters"] == 12
    sizes = {name: len(getattr(dataset.split, name)) for name in ("train", "validation", "test")}
    assert metadata["utterances"] == sizes
    assert sum(sizes.values()) == len(dataset.corpus)
    assert metadata["resolved_front_end"]["image_size"] == (64, 48)
    assert metadata["resolved_front_end"]["frames"] == front_end_of(CONFIG).frames
    assert metadata["command"] == ["python", "train.py"]
    assert metadata["notes"] == list(dataset.corpus.notes)
    assert metadata["device"] == device()
    assert metadata["versions"] == versions()
    assert metadata["versions"]["numpy"] == np.__version__


def test_a_classical_model_has_no_number_of_parameters(dataset):
    assert "parameters" not in run_metadata(CONFIG, dataset, [])


def test_keys_of_metadata_are_no_options(metadata):
    assert not set(METADATA_KEYS) & set(options.to_json(CONFIG))
    assert not set(METADATA_KEYS) & set(options.options_of(RunConfig))


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_the_configuration_of_a_run_is_read_back(tmp_path, metadata, suffix):
    with open_folder(tmp_path / "run", False, CONFIG, metadata, SILENT) as folder:
        path = folder / "config.json"
    if suffix == ".yaml":
        yaml = pytest.importorskip("yaml")
        content = json.loads(path.read_text())
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(content))
    config = options.read_file(RunConfig, path, ignored=METADATA_KEYS)
    assert type(config) is RunConfig
    assert list(options.differences(config, CONFIG)) == []
    assert config.auxiliary_losses == CONFIG.auxiliary_losses
    assert resolve(config) == CONFIG
    check_config(config)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"optimiser": {}}, r"unknown key 'optimiser': did you mean 'optimizer'\?"),
        ({"optimizer": {"epoch": 3}}, r"optimizer: unknown key 'epoch': did you mean 'epochs'\?"),
        ({"data": "emodb"}, "data: expected a table of options, found 'emodb'"),
        ({"model": {"image_size": [3]}}, "model.image_size: expected 2 values, found 1"),
        ([], "expected a table of options, found list"),
    ],
)
def test_wrong_files_are_refused(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        options.read_file(RunConfig, path, ignored=METADATA_KEYS)


def test_wrong_types_are_refused(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"optimizer": {"epochs": "three"}}))
    with pytest.raises(InputError, match=r"optimizer\.epochs: expected a whole number or null, fo"):
        options.read_file(RunConfig, path, ignored=METADATA_KEYS)
