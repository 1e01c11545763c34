"""Recipes: each can be configured, and a small one runs, resumes and stands beside the paper."""

import dataclasses
import importlib
from pathlib import Path

import pytest
from test_commands import call

from serjax import training

pytestmark = pytest.mark.usefixtures("standard_promotion")

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture
def reproduce(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capfd, "reproduce", *arguments)


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module("recipes")


@pytest.mark.parametrize("name", ["deepika2025", "padi2021"])
def test_every_row_is_a_configuration_of_a_corpus_that_the_recipe_names(recipes, name):
    recipe = importlib.import_module(f"recipes.{name}").RECIPE
    assert len({row.name for row in recipe.rows}) == len(recipe.rows)
    for row in recipe.rows:
        for fields in (row.config, {**row.config, **recipe.small}):
            config = training.RunConfig(**fields)
            assert config.dataset in recipe.corpora
            assert config.test_dataset is None or config.test_dataset in recipe.corpora
            fold = None if config.test_dataset else "1/5"
            training.RunConfig(**{**fields, "fold": fold}).check()
        assert set(row.published) <= {"wa", "ua", "f1_macro", "f1_weighted"}


def test_a_recipe_runs_resumes_and_stands_beside_the_paper(
    recipes, reproduce, monkeypatch, tmp_path
):
    deepika = importlib.import_module("recipes.deepika2025")
    small = {
        "epochs": 1,
        "batch_size": 8,
        "model_options": {"hidden": 16},
        "dataset_options": {"speakers": 6, "words": 3},
        "staircase": (1, 1, 0.1),
    }

    monkeypatch.setattr(deepika, "RECIPE", dataclasses.replace(deepika.RECIPE, small=small))
    arguments = ("deepika2025", "--embedded", "--scale", "small", "--only", "ravdess-clean")
    status, output, errors = reproduce(*arguments)
    assert status == 0, errors
    table = (tmp_path / "runs" / "deepika2025" / "table.md").read_text()
    assert "| RAVDESS, clean spectrograms | 82 |" in table
    assert "embedded corpus" in table
    assert "- " + deepika.RECIPE.deviations[0] in table

    status, _, errors = reproduce(*arguments)
    assert status == 2
    assert "--resume" in errors
    status, output, _ = reproduce(*arguments, "--resume")
    assert status == 0
    assert "epoch" not in output


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("padi2020",), ["unknown recipe 'padi2020': did you mean 'padi2021'"]),
        (("padi2021",), ["nothing to run", "--embedded"]),
        (("padi2021", "--only", "exp4"), ["unknown row 'exp4'", "exp1"]),
        (("padi2021", "--data-dir", "x"), ["expected CORPUS=DIR, found 'x'"]),
        (("padi2021", "--data-dir", "ravdess=x"), ["unknown corpus of this recipe 'ravdess'"]),
        (("padi2021", "--embedded", "--scale", "tiny"), ["unknown scale 'tiny'"]),
    ],
)
def test_mistakes_are_told_in_a_line(reproduce, arguments, messages):
    status, _, errors = reproduce(*arguments)
    assert status == 2
    assert "Traceback" not in errors
    for message in messages:
        assert message in errors


def test_a_missing_corpus_is_told_with_where_to_get_it(reproduce):
    status, output, _ = reproduce("padi2021")
    assert status == 2
    assert "left out exp1: --data-dir iemocap=DIR: the folder with Session1" in output
