"""Recipes: each is what its paper says, and a small one runs, resumes and stands beside it."""

import dataclasses
import importlib
from pathlib import Path

import pytest
from networks import variable_shapes
from test_commands import call
from trees import touch

from serjax import models
from serjax.data.corpora import PUBLISHED

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


NAMES = ("deepika2025", "guizzo2023", "kapoor", "padi2021", "tiwari")
MEASURES = {"wa", "ua", "f1_macro", "f1_weighted"}


@pytest.fixture
def configured(recipes):
    return importlib.import_module("reproduce").configured


def test_all_papers_have_a_recipe(recipes):
    assert importlib.import_module("reproduce").RECIPES == NAMES
    assert {path.stem for path in (EXPERIMENTS / "recipes").glob("[a-z]*.py")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_a_configuration_of_a_corpus_that_the_recipe_names(recipes, configured, name):
    recipe = importlib.import_module(f"recipes.{name}").RECIPE
    names = {row.name for row in recipe.rows}
    assert len(names) == len(recipe.rows)
    assert set(recipe.small_rows) <= names
    folders = {corpus: f"of {corpus}" for corpus in recipe.corpora}
    for row in recipe.rows:
        assert set(row.corpora) <= set(recipe.corpora)
        for small in (False, True):
            for there in (folders, None):
                config = configured(recipe, row, there, small=small)
                one = config.test_dataset is not None or row.anti_transfer is not None
                dataclasses.replace(config, fold=None if one else "1/5").check()
                assert (config.dataset == "synthetic") is (there is None)
        for figure in set(row.published) - MEASURES:  # a class
            assert any(figure in PUBLISHED[corpus].counts for corpus in row.corpora)
        assert all(0 <= value <= 100 for value in row.published.values())


# What the papers' experiment sections say of training.
PUBLISHED_SETTINGS = {
    "deepika2025": {  # "decaying every 15 epochs utilizing a 0,001 learning rate", 50 epochs, 128
        "learning_rate": 1e-3,
        "epochs": 50,
        "batch_size": 128,
        "schedule": "staircase",
        "optimizer": "adam",
    },
    "guizzo2023": {  # section 3.1
        "optimizer": "adam",
        "learning_rate": 1e-5,
        "batch_size": 20,
        "patience": 20,
        "fractions": (0.7, 0.2, 0.1),
        "schedule": "constant",
    },
    "kapoor": {  # Table 1
        "epochs": 10,
        "batch_size": 32,
        "optimizer": "adadelta",
        "learning_rate": 1e-4,
        "schedule": "constant",
        "weight_decay": 0.0,
        "labels": "kapoor",
    },
    "padi2021": {  # section 4.2
        "model": "resnet34_stats",
        "optimizer": "sgd",
        "learning_rate": 1e-2,
        "batch_size": 32,
        "schedule": "staircase",
        "staircase": (8, 2, 0.5),
    },
}


@pytest.mark.parametrize("name", PUBLISHED_SETTINGS)
def test_settings_are_those_of_the_paper(recipes, configured, name):
    recipe = importlib.import_module(f"recipes.{name}").RECIPE
    folders = dict.fromkeys(recipe.corpora, "X")
    for row in recipe.rows:
        config = configured(recipe, row, folders).resolved()
        for field, value in PUBLISHED_SETTINGS[name].items():
            assert getattr(config, field) == value, (row.name, field)


def test_the_rows_of_guizzo_are_those_of_table_1(recipes):
    recipe = importlib.import_module("recipes.guizzo2023").RECIPE
    rows = {row.name: row for row in recipe.rows}
    # Ten for each corpus and division, but for TESS by actor, whose two make no three parts.
    assert len(rows) == 50
    best = rows["ravdess-quat-dual-ws-random"]
    assert best.published == {"wa": 60.44}
    assert best.anti_transfer == ("dual-ws", 11)
    assert rows["iemocap-real-none-actor"].published == {"wa": 58.29}
    assert rows["iemocap-real-none-actor"].anti_transfer == ("none", None)
    assert rows["tess-quat-dual-sw-random"].config["split"] == "random"


def test_kapoors_networks_end_as_in_the_paper(recipes, configured):
    recipe = importlib.import_module("recipes.kapoor").RECIPE
    assert {row.name: row.published["wa"] for row in recipe.rows} == {
        "resnet50": 99.8,
        "squeezenet": 46.3,
        "wide_resnet50": 78.9,
        "inception_v3": 38.5,
    }
    for row in recipe.rows:
        config = configured(recipe, row, {"iemocap": "X"})
        size = config.image_size or (224, 224)
        shapes = variable_shapes(
            models.create(config.model, 3, **config.model_options), (1, *size, 3)
        )
        head = shapes["params"]["head"]["kernel"].shape
        assert head == (512, 3)
        assert shapes["params"]["dense1"]["kernel"].shape[1] == 512


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
    assert "fold-1, 1 of 3" in output
    table = (tmp_path / "runs" / "deepika2025" / "table.md").read_text()
    assert "| RAVDESS, clean spectrograms | 82 |" in table
    assert "At the small scale, which shows that it runs: 1 of 8 rows, at most 3 folds" in table
    assert "embedded corpus" in table
    assert "- " + deepika.RECIPE.deviations[0] in table

    status, _, errors = reproduce(*arguments)
    assert status == 2
    assert "--resume" in errors
    status, output, _ = reproduce(*arguments, "--resume")
    assert status == 0
    assert "training loss" not in output  # nothing was trained again


def test_recalls_of_classes_stand_beside_the_paper(recipes):
    tiwari = importlib.import_module("recipes.tiwari").RECIPE
    rows = [row for row in tiwari.rows if row.name in ("knn", "resnet34")]
    accuracy = {"wa": {"value": 0.5, "low": 0.25, "high": 0.75}}
    classes = {"anger": {"recall": 0.125}, "sadness": {"recall": 1.0}}  # and no happiness
    measured = {"test": accuracy, "per_class": classes}
    text = importlib.import_module("reproduce")._markdown(
        tiwari, rows, {row.name: measured for row in rows}, ["About it."]
    )
    assert (
        "|  | WA % paper | WA % here | recall of anger % paper | recall of anger % here |" in text
    )
    figures = "50.0 (25.0 – 75.0) | 93 | 12.5 | 55 |  | 77 | 100.0 |"
    assert f"| K nearest neighbours |  | {figures}" in text
    assert "| ResNet-34 on TESS and RAVDESS | 83.1 | 50.0 (25.0 – 75.0) |  | 12.5 |" in text
    assert "About it." in text


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("padi2020",), ["unknown recipe 'padi2020': did you mean 'padi2021'"]),
        (("padi2021",), ["nothing to run", "--embedded"]),
        (("padi2021", "--only", "exp4"), ["unknown row 'exp4'", "exp1"]),
        (("padi2021", "--data-dir", "x"), ["expected CORPUS=DIR, found 'x'"]),
        (("padi2021", "--data-dir", "ravdess=x"), ["unknown corpus of this recipe 'ravdess'"]),
        (("padi2021", "--embedded", "--scale", "tiny"), ["unknown scale 'tiny'"]),
        (("padi2021", "--embedded", "--init", "x"), ["expected MODEL=RUN|FILE, found 'x'"]),
        (
            ("kapoor", "--embedded", "--init", "resnet51=x"),
            ["unknown model of this recipe 'resnet51': did you mean 'resnet50'"],
        ),
        (
            ("padi2021", "--data-dir", "iemocap=nowhere"),
            ["IEMOCAP: data directory nowhere does not exist", "https://sail.usc.edu/iemocap"],
        ),
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
    assert "left out exp1: no iemocap" in output
    assert "iemocap: --data-dir iemocap=DIR: the folder with Session1" in output


def test_a_partial_corpus_is_told_before_training(reproduce, tmp_path):
    # Of RAVDESS's 24 actors two, with files that are read only after the table.
    actors = ("01", "02")
    names = (f"Actor_{a}/03-01-{e:02}-01-01-01-{a}.wav" for a in actors for e in range(1, 9))
    root = touch(tmp_path / "part", *names)
    status, output, errors = reproduce(
        *("deepika2025", "--data-dir", f"ravdess={root}", "--only", "ravdess-raw")
    )
    assert status == 2
    told = "ravdess is not as published: utterances 16 of 1,440; speakers 2 of 24"
    assert told in output.replace("\n", " ")
    assert "Traceback" not in errors


@pytest.mark.slow
def test_all_recipes_run_from_their_command_on_the_embedded_corpus(recipes, reproduce, tmp_path):
    for name in NAMES:
        recipe = importlib.import_module(f"recipes.{name}").RECIPE
        status, _, errors = reproduce(name, "--embedded", "--scale", "small")
        assert status == 0, errors
        table = (tmp_path / "runs" / name / "table.md").read_text()
        for row in recipe.rows:
            shown = row.name in (recipe.small_rows or [row.name])
            assert (f"| {row.title} |" in table) is shown
        assert all(f"- {deviation}" in table for deviation in recipe.deviations)
        assert "embedded corpus" in table
