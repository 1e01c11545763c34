"""Paths in shared files: relative to their folder, and back again where the folder is now."""

import json
import shutil

import pytest

from serjax import options
from serjax.files import portable
from serjax.training.config import RunConfig


@pytest.fixture
def place(tmp_path):
    for name in ("corpora/EMODB", "runs/run", "other"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_absolute_paths_become_relative_and_come_back(place):
    folder = place / "runs/run"
    content = {
        "data_dir": str(place / "corpora/EMODB"),
        "options": {"corpora": {"tess": str(place / "corpora")}},
        "command": ["serjax", "--out", str(folder), f"--init={place}/other/run", "EMODB", "a/b"],
        "notes": [f"skipped: {place}/corpora/EMODB/wav/1.wav: is empty"],
        "numbers": [1, 0.5, None, True],
    }
    relative = portable.to_relative(content, folder, [content["data_dir"]])
    assert str(place) not in json.dumps(relative)
    assert relative["data_dir"] == "{folder}/../../corpora/EMODB"
    assert relative["options"]["corpora"]["tess"] == "{folder}/../../corpora"
    assert relative["command"][2:4] == ["{folder}/.", "--init={folder}/../../other/run"]
    assert relative["command"][4:] == ["EMODB", "a/b"]
    assert relative["notes"] == ["skipped: wav/1.wav: is empty"]
    assert relative["numbers"] == content["numbers"]
    back = portable.to_absolute(relative, folder)
    assert (back["data_dir"], back["options"]) == (content["data_dir"], content["options"])
    assert portable.to_absolute(portable.FOLDER, folder) == str(folder)


@pytest.mark.parametrize(
    "text", ["", "EMODB", "/no/such/place", "a = b", "=", "a\0", "/\0/b", "{x}"]
)
def test_other_texts_stay(place, text):
    assert portable.to_relative([text], place) == [text]
    assert portable.to_absolute([text], place) == [text]


def test_a_path_that_shares_only_the_root_stays(place):
    assert portable.to_relative("/usr/bin", place) == "/usr/bin"
    assert portable.shown("/usr/bin") == "…/bin"
    assert portable.shown("--data-dir=/usr/bin") == "--data-dir=…/bin"


def test_a_configuration_moves_with_its_folders(place):
    config = RunConfig.make(model="lda", dataset="emodb", data_dir=str(place / "corpora/EMODB"))
    folder = place / "runs/run"
    content = portable.to_relative(options.to_json(config), folder)
    (folder / "config.json").write_text(json.dumps(content))
    assert options.read_file(RunConfig, folder / "config.json") == config
    moved = shutil.copytree(place, place.parent / f"{place.name}-moved")
    again = options.read_file(RunConfig, moved / "runs/run/config.json")
    assert again.data.data_dir == str(moved / "corpora/EMODB")
