"""Recipes: each matches its paper, and a small one runs, resumes and is compared with it."""

import dataclasses
import importlib
import itertools
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import serjax.recipes
from serjax import losses, models, options, protocols, report, training
from serjax.anti_transfer import sweep
from serjax.anti_transfer.sweep import Sweep
from serjax.data import CorpusError
from serjax.data.corpora import PUBLISHED
from serjax.models.variables import leaves_by_path, matches
from serjax.training.checks import check_config
from serjax.training.config.resolve import resolve
from serjax.training.optimization.freeze import is_frozen
from serjax.training.optimization.optimizer import learning_rate, make_optimizer
from tests.helpers.commands import call
from tests.helpers.networks import variable_shapes
from tests.helpers.run_folders import run_folder
from tests.helpers.trees import give_sound, iemocap, ravdess, touch

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture
def reproduce(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capfd, "reproduce", *arguments)


@pytest.fixture
def recipes(monkeypatch):
    return importlib.import_module("serjax.recipes")


NAMES = ("deepika2025", "guizzo2023", "kapoor", "padi2021", "tiwari")
METRICS = {"wa", "ua", "f1_macro", "f1_weighted", "mean_wa", "mean_ua"}
METRICS |= {"train_wa", "validation_wa", "train_loss", "validation_loss", "minutes", "megabytes"}
METRICS |= {"parameters"}


@pytest.fixture
def configured(recipes):
    return importlib.import_module("serjax.recipes.plan").configured


def test_all_papers_have_a_recipe(recipes):
    assert importlib.import_module("serjax.cli.reproduce").RECIPES == NAMES
    found = {path.stem for path in (Path(serjax.recipes.__file__).parent).glob("[a-z]*.py")}
    assert found == {*NAMES, "plan"}


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_a_configuration_of_a_corpus_that_the_recipe_names(recipes, configured, name):
    recipe = importlib.import_module(f"serjax.recipes.{name}").RECIPE
    names = {row.name for row in recipe.rows}
    assert len(names) == len(recipe.rows)
    assert set(recipe.small_rows) <= names
    folders = {corpus: f"of {corpus}" for corpus in recipe.corpora}
    for row in recipe.rows:
        assert set(row.corpora) <= set(recipe.corpora)
        for small in (False, True):
            for there, tuned in itertools.product((folders, None), (False, True)):
                if tuned and row.config["model"] not in models.names():
                    continue
                config = configured(recipe, row, there, small=small, tuned=tuned)
                is_single = config.data.test_dataset is not None or row.is_sweep
                check_config(config.replace(fold=None if is_single else "1/5"))
                assert (config.data.dataset == "synthetic") is (there is None)
                changed = set(recipe.tuned.config) - (set(recipe.small) if small else set())
                paper = configured(recipe, row, there, small=small)
                assert (config != paper) is (tuned and bool(changed))


@pytest.mark.parametrize("name", NAMES)
def test_tables_show_rows_that_exist_and_figures_that_can_be(recipes, name):
    recipe = importlib.import_module(f"serjax.recipes.{name}").RECIPE
    rows = {row.name: row for row in recipe.rows}
    assert set().union(*(table.rows for table in recipe.tables)) == set(rows)
    # The small scale makes all of the paper's tables but those of rows that differ in labels only.
    if recipe.small_rows and name not in ("guizzo2023", "padi2021"):
        for table in recipe.tables:
            assert set(table.rows) & set(recipe.small_rows), table.title
    for table in recipe.tables:
        if isinstance(table, report.Figures):
            for row, figures in table.published.items():
                for figure in set(figures) - METRICS:  # a class
                    assert any(figure in PUBLISHED[corpus].counts for corpus in rows[row].corpora)
                values = [value for value in figures.values() if value is not None]
                assert all(0 <= value <= 420 for value in values)
        if isinstance(table, report.PerClass):
            for row, classes in table.published.items():
                named = set(classes) - {"weighted mean", "unweighted mean"}
                assert all(
                    name in PUBLISHED[corpus].counts
                    for corpus in rows[row].corpora
                    for name in named
                )
        if isinstance(table, report.Confusion) and table.published is not None:
            assert np.shape(table.published) == (len(table.classes),) * 2


def test_the_published_matrices_have_the_published_accuracies():
    """Deepika & Kuchibhotla call the mean of the diagonal the overall accuracy."""
    recipe = importlib.import_module("serjax.recipes.deepika2025").RECIPE
    means = [
        np.mean(np.diag(table.published))
        for table in recipe.tables
        if isinstance(table, report.Confusion)
    ]
    assert means == pytest.approx([82.75, 80.5, 57.5], abs=0.4)


# What the papers' experiment sections say of training.
PUBLISHED_SETTINGS = {
    "deepika2025": {  # "decaying every 15 epochs utilizing a 0,001 learning rate", 50 epochs, 128
        "learning_rate": 1e-3,
        "epochs": 50,
        "batch_size": 128,
        "schedule": "step_decay",
        "optimizer": "adam",
    },
    "guizzo2023": {  # section 3.1
        "optimizer": "adam",
        "learning_rate": 1e-5,
        "batch_size": 20,
        "patience": 20,
        "monitor": "loss",
        "fractions": (0.7, 0.2, 0.1),
        "schedule": "constant",
    },
    "kapoor": {  # Table 1; the learning rate is that of the rows that do not learn
        "epochs": 10,
        "batch_size": 32,
        "optimizer": "adadelta",
        "schedule": "constant",
        "weight_decay": 0.0,
        "labels": "kapoor",
    },
    "padi2021": {  # section 4.2
        "model": "resnet34_stats",
        "optimizer": "sgd",
        "learning_rate": 1e-2,
        "batch_size": 32,
        "schedule": "step_decay",
        "step_decay": (8, 2, 0.5),
    },
}


@pytest.mark.parametrize("name", PUBLISHED_SETTINGS)
def test_settings_are_those_of_the_paper(recipes, configured, name):
    recipe = importlib.import_module(f"serjax.recipes.{name}").RECIPE
    folders = dict.fromkeys(recipe.corpora, "X")
    for row in recipe.rows:
        config = resolve(configured(recipe, row, folders))
        for option, value in PUBLISHED_SETTINGS[name].items():
            path = options.options_of(training.RunConfig)[option].path
            assert options.get(config, path) == value, (row.name, option)


def test_the_rows_of_guizzo_are_those_of_table_1(recipes):
    recipe = importlib.import_module("serjax.recipes.guizzo2023").RECIPE
    rows = {row.name: row for row in recipe.rows}
    # Ten for each corpus and division, but for TESS by actor, whose two make no three parts.
    figures = [table for table in recipe.tables if isinstance(table, report.Figures)]
    published = {k: v for table in figures for k, v in table.published.items()}
    assert len([name for name, values in published.items() if values["wa"] is not None]) == 50
    best = rows["ravdess-quat-dual-ws-random"]
    assert published[best.name] == {"wa": 60.44, "parameters": 10}
    assert best.anti_transfer == ("dual-ws", 11)
    assert published["iemocap-real-none-actor"] == {"wa": 58.29, "parameters": 160}
    assert rows["iemocap-real-none-actor"].anti_transfer == ("none", None)
    assert rows["tess-quat-dual-sw-random"].config["split"] == "random"


def test_rows_of_guizzo_share_their_encoder_and_their_iemocap_weights(recipes, configured):
    recipe = importlib.import_module("serjax.recipes.guizzo2023").RECIPE
    pretrainings = importlib.import_module("serjax.recipes.plan").pretrainings
    folders = dict.fromkeys(recipe.corpora, "X")
    made = pretrainings(recipe, recipe.rows, folders, {}, 0, False)
    assert {name: (c.model.name, c.data.dataset) for name, c in made.items()} == {
        "vgg16_iemocap": ("vgg16", "iemocap"),
        "quat_vgg16_iemocap": ("quat_vgg16", "iemocap"),
    }
    init = dict.fromkeys(made, "RUN")
    for row in recipe.rows:
        config = configured(recipe, row, folders, init=init)
        assert config.model.init == ("RUN" if row.name.endswith("-iemocap") else None)
        is_quaternion = config.model.name.startswith("quat_")
        assert config.model.embedding == ("pretrained" if is_quaternion else None)


def test_figure_2_runs_all_layers_on_request_only(recipes, reproduce, monkeypatch, tmp_path):
    planned = []

    def swept(self, folder, console, command):
        planned.append(self)
        place = folder / f"{self.base.model.name}-{self.base.data.split}"
        run_folder(place, 10, (1.0,))
        points = [("none", None), *((m, n) for m in self.methods[1:] for n in range(1, 14))]
        return [
            {
                "model": self.base.model.name,
                "split": self.base.data.split,
                "method": method,
                "layer": layer,
                "folder": place,
            }
            for method, layer in points
        ]

    monkeypatch.setattr(Sweep, "run", swept)
    accuracy = {"validation": 0.5, "test": 0.5}
    monkeypatch.setattr(sweep, "accuracies", lambda runs: [{**run, **accuracy} for run in runs])
    status, _, errors = reproduce("guizzo2023", "--bundled", "--only", "figure-2-*")
    assert status == 0, errors
    assert len(planned) == 10  # two networks, two splits of two corpora and one of TESS
    for each in planned:
        assert (each.layers, each.methods) == (None, ("none", "single-s", "single-w"))
        optimizer = each.base.optimizer
        assert (optimizer.learning_rate, optimizer.schedule) == (1e-5, "constant")
    table = (tmp_path / "runs" / "guizzo2023" / "table.md").read_text()
    assert "## Figure 2: gain at each layer, mean over the corpora" in table
    assert "| layer | vgg16, single-s, random |" in table
    assert "| vgg16, mean |" in table
    assert "| 13 | +0.0 |" in table
    assert (tmp_path / "runs" / "guizzo2023" / "figure-2.png").exists()


def test_joined_rows_run_on_the_corpora_at_hand(recipes, reproduce, untrained, tmp_path):
    trees = {
        "tess": touch(
            tmp_path / "tess",
            *(
                f"{actress}_{word}_{emotion}.wav"
                for actress in ("OAF", "YAF")
                for word in ("back", "bar", "base")
                for emotion in ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
            ),
        ),
        "ravdess": ravdess(tmp_path / "ravdess", actors=3),
    }
    given = [each for name, tree in trees.items() for each in ("--data-dir", f"{name}={tree}")]
    status, output, errors = reproduce("tiwari", *given)
    assert status == 0, errors
    assert set(untrained) == {"knn", "lda", "svm", "rda", "tiwari_cnn", "resnet34"}
    assert "tiwari_cnn runs without savee, cremad" in output
    assert "savee: --data-dir savee=DIR: the folder AudioData" in output
    for config, _, _ in untrained.values():
        assert set(config.data.dataset_options["corpora"]) == set(trees)
    table = (tmp_path / "runs" / "tiwari" / "table.md").read_text()
    assert "| convolutional network, without savee, cremad | " in table
    assert "| ResNet-34 on TESS and RAVDESS | " in table


def test_kapoors_chunks_are_those_of_the_paper(recipes, configured):
    recipe = importlib.import_module("serjax.recipes.kapoor").RECIPE
    for row in recipe.rows:
        config = configured(recipe, row, {"iemocap": "X"})
        assert (config.data.subset, row.folds) == (3000, 5)  # 1,800, 600 and 600
        assert config.model.silence == "voiced_segment"
        assert config.optimizer.learning_rate == (1.0 if row.name.endswith("-learns") else 1e-4)


def test_kapoors_rate_cannot_train_a_new_layer(recipes, configured):
    """Deviation 1: 570 steps on separable features, with the row's own optimizer."""
    recipe = importlib.import_module("serjax.recipes.kapoor").RECIPE
    rows = {row.name: row for row in recipe.rows}
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 1800)
    features = rng.normal(size=(3, 512))[labels] + rng.normal(0, 0.5, size=(1800, 512))
    features, start = features.astype(np.float32), rng.normal(0, 0.05, (512, 3)).astype(np.float32)
    orders = rng.integers(0, 1800, (570, 32))
    on_device = jnp.asarray(features), jnp.asarray(labels)
    results = {}
    for name in ("resnet50", "resnet50-learns"):
        config = resolve(configured(recipe, rows[name], {"iemocap": "X"}))
        optimizer = make_optimizer(config, learning_rate(config, 57, 10))

        def step(state, order, optimizer=optimizer):
            kernel, moments = state
            loss = lambda kernel: losses.cross_entropy(  # noqa: E731
                on_device[0][order] @ kernel, on_device[1][order], {}
            ).mean()
            updates, moments = optimizer.update(jax.grad(loss)(kernel), moments, kernel)
            return (kernel + updates, moments), None

        first = jnp.asarray(start)
        (kernel, _), _ = jax.jit(lambda state, step=step: jax.lax.scan(step, state, orders))(
            (first, optimizer.init(first))
        )
        accuracy = np.mean((features @ kernel).argmax(-1) == labels)
        results[name] = float(np.abs(kernel - start).max()), float(accuracy)
    moved, accuracy = results["resnet50"]
    assert moved < 1e-4
    assert abs(accuracy - np.mean((features @ start).argmax(-1) == labels)) < 0.02
    assert results["resnet50-learns"][1] > 0.99


def test_kapoors_networks_end_as_in_the_paper(recipes, configured):
    recipe = importlib.import_module("serjax.recipes.kapoor").RECIPE
    table = recipe.tables[0]
    assert {name: each["validation_wa"] for name, each in table.published.items() if each} == {
        "resnet50": 99.8,
        "squeezenet": 46.3,
        "wide_resnet50": 78.9,
        "inception_v3": 38.5,
    }
    for row in recipe.rows:
        config = configured(recipe, row, {"iemocap": "X"})
        size = config.model.image_size or (224, 224)
        shapes = variable_shapes(
            models.create(config.model.name, 3, **config.model.options), (1, *size, 3)
        )
        head = shapes["params"]["head"]["kernel"].shape
        assert head == (512, 3)
        assert shapes["params"]["dense1"]["kernel"].shape[1] == 512


def test_a_recipe_runs_resumes_and_is_compared_with_the_paper(
    recipes, reproduce, monkeypatch, tmp_path
):
    deepika = importlib.import_module("serjax.recipes.deepika2025")
    small = {
        "epochs": 1,
        "batch_size": 8,
        "model_options": {"hidden": 16},
        "dataset_options": {"speakers": 6, "words": 3},
        "step_decay": (1, 1, 0.1),
    }

    monkeypatch.setattr(deepika, "RECIPE", dataclasses.replace(deepika.RECIPE, small=small))
    arguments = ("deepika2025", "--bundled", "--scale", "small", "--only", "ravdess-clean")
    status, output, errors = reproduce(*arguments)
    assert status == 0, errors
    assert "fold-1, 1 of 3" in output
    table = (tmp_path / "runs" / "deepika2025" / "table.md").read_text()
    assert "| RAVDESS, clean spectrograms | 82 |" in table
    for number in (1, 3, 5, 6):
        assert f"## Table {number}: " in table
    assert "## Table 4" not in table
    scale = "At the small scale, which only shows that it runs"
    assert f"{scale}: 1 of {len(deepika.RECIPE.rows)} rows, at most 3 folds" in table
    assert "bundled corpus" in table
    assert "- " + deepika.RECIPE.deviations[0] in table

    status, _, errors = reproduce(*arguments)
    assert status == 2
    assert "--resume" in errors
    status, output, _ = reproduce(*arguments, "--resume")
    assert status == 0
    assert "examples/s" not in output  # nothing was trained again


def check_tables(recipe, table, ran):
    """Every table with a row that ran is there, and no other."""
    for each in recipe.tables:
        assert (f"## {each.title}" in table) is bool(set(each.rows) & set(ran))
    assert all(f"- {deviation}" in table for deviation in recipe.deviations)


@pytest.fixture
def untrained(recipes, monkeypatch):
    """Cross-validations whose results are written without training, by row."""
    requested = {}

    def write_results(config, *, out, members, **options):
        requested[out.name] = (config, members, options.get("folds"))
        run_folder(out / "fold-1", 10, (1.0,))
        shutil.copy(out / "fold-1" / "metrics.json", out)
        measures = {"wa": 0.5, "ua": 0.5, "f1_macro": 0.5, "f1_weighted": 0.5}
        runs = [{"run": "fold-1", "utterances": 10, **measures}]
        pooled = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in measures}
        summary = {"runs": runs, "mean": measures, "standard_deviation": measures, "pooled": pooled}
        interval = {"level": 0.95, "over": "speakers", "resamples": 10}
        report.write_json(out / "summary.json", {**summary, "interval": interval})
        return out

    monkeypatch.setattr(protocols, "cross_validate", write_results)
    monkeypatch.setattr(protocols, "cross_corpus", write_results)
    return requested


def test_tuned_rows_are_ensembles_next_to_the_papers(reproduce, untrained, tmp_path):
    rows = ("--only", "resnet34", "--only", "knn")
    status, _, errors = reproduce("tiwari", "--bundled", "--tuned", *rows)
    assert status == 0, errors
    assert set(untrained) == {"knn", "resnet34", "resnet34-tuned"}  # KNN has nothing to be tuned
    (paper, one, _), (tuned, five, folds) = untrained["resnet34"], untrained["resnet34-tuned"]
    assert (one, five, folds) == (1, 5, 5)
    assert (paper.optimizer.epochs, tuned.optimizer.epochs) == (3, 60)
    assert tuned.model.colormap == paper.model.colormap
    table = (tmp_path / "runs" / "tiwari" / "table.md").read_text()
    assert "| ResNet-34 on TESS and RAVDESS | 83.1 | 100.0 " in table
    assert "| ResNet-34 on TESS and RAVDESS, tuned |  | 100.0 " in table
    assert "Rows named tuned are not the paper's: epochs 60, patience 60" in table
    assert "the mean of 5 networks in each fold" in table
    assert (tmp_path / "runs" / "tiwari" / "epochs.png").exists()


def test_all_rows_of_a_paper_make_all_its_tables(reproduce, recipes, untrained, tmp_path):
    status, _, errors = reproduce("deepika2025", "--bundled")
    assert status == 0, errors
    recipe = importlib.import_module("serjax.recipes.deepika2025").RECIPE
    assert set(untrained) == {row.name for row in recipe.rows}
    table = (tmp_path / "runs" / "deepika2025" / "table.md").read_text()
    check_tables(recipe, table, untrained)
    assert "| IEMOCAP, clean spectrograms, AlexNet | 70.54 | 100.0 " in table
    # Half a million float32 of 4 bytes, and a minute.
    assert "| 38 | 1.0 | 201 | 2.0 |" in table


def test_rows_of_a_sweep_are_compared_with_the_paper(reproduce, recipes, monkeypatch, tmp_path):
    def swept(self, folder, console, command):
        (method,), (layer,) = self.methods, self.layers
        place = folder / f"{self.base.model.name}-{self.base.data.split}-{method}-{layer}"
        run_folder(place, 10, (1.0,))
        return [{"folder": place}]

    monkeypatch.setattr(Sweep, "run", swept)
    pretrained = []
    monkeypatch.setattr(training, "run", lambda config, out, **_: pretrained.append(out.name))
    status, _, errors = reproduce("guizzo2023", "--bundled", "--tuned")
    assert status == 0, errors
    recipe = importlib.import_module("serjax.recipes.guizzo2023").RECIPE
    table = (tmp_path / "runs" / "guizzo2023" / "table.md").read_text()
    check_tables(recipe, table, {row.name for row in recipe.rows if not row.on_request})
    row = "RAVDESS, quat_vgg16, dual-ws at layer 11, by random"
    assert f"| {row} | 60.44 | 100.0 " in table
    assert f"| {row}, tuned |  | 100.0 " in table
    assert "% here | parameters, millions paper | parameters, millions here |" in table
    assert "| RAVDESS, quat_resnet50, none, by random | not in the text | 100.0 " in table
    assert "benchmarks/run.py --suite models --models vgg16,quat_vgg16` measures both" in table
    assert pretrained == ["vgg16_iemocap", "quat_vgg16_iemocap"]
    assert "| RAVDESS, vgg16, none, by speaker, from IEMOCAP | not in the text | 100.0 " in table
    assert "| TESS, quat_vgg16, encoder-w, by random | not in the text | 100.0 " in table


def test_padis_parts_are_with_and_without(recipes, configured):
    recipe = importlib.import_module("serjax.recipes.padi2021").RECIPE
    rows = {row.name: row for row in recipe.rows if "-" in row.name}
    assert len(rows) == 3 * 2**3  # Figure 4
    folders = {"iemocap": "X"}
    all_parts = configured(recipe, rows["exp2-tl-aug-sp"], folders, init={"resnet34_stats": "R"})
    assert all_parts.data.labels == "iemocap_exp2"
    assert all_parts.model.init == "R"
    assert all_parts.augmentation.preset == "conservative"
    assert all_parts.model.options == {"pooling": "statistics"}
    none = configured(recipe, rows["exp2-plain"], folders, init={"resnet34_mean": "R"})
    assert none.model.init is None
    assert none.augmentation.preset == "none"
    assert none.model.options == {"pooling": "mean"}
    # "We generate and augment two spectro-temporally modified versions" of each segment.
    assert (all_parts.augmentation.copies, none.augmentation.copies) == (2, 0)
    # Weights fit only where they were pooled alike.
    other = configured(recipe, rows["exp2-tl"], folders, init={"resnet34_stats": "R"})
    assert other.model.init is None


def test_padis_transfer_trains_new_dense_layers_only(recipes, configured):
    """Section 3.2: "replace the FC layers", "re-train the new FC layers"; without weights, all."""
    recipe = importlib.import_module("serjax.recipes.padi2021").RECIPE
    network = models.create("resnet34_stats", 4, channels=4, blocks=(1, 1, 1, 1))
    shapes = variable_shapes(network, (1, 300, 128, 1))
    layers = {path[:-1] for path in leaves_by_path(shapes["params"])}
    dense = {("dense1",), ("dense1_norm",), ("dense1_act",), ("head",)}
    assert dense < layers
    folders = {"iemocap": "X"}
    given = {"resnet34_stats": "R", "resnet34_mean": "R"}
    for row in recipe.rows:
        config = configured(recipe, row, folders, init=given).model
        trained = {p for p in layers if not is_frozen(p, config.freeze, 10**6)}
        new = {p for p in layers if any(matches(pattern, p) for pattern in config.fresh)}
        has_transfer = row.initialization != "random"
        assert (trained, new) == ((dense, dense) if has_transfer else (layers, set()))
        assert configured(recipe, row, folders).model.freeze == {}


def test_pretrainings_use_other_voices(recipes, configured):
    recipe = importlib.import_module("serjax.recipes.padi2021").RECIPE
    pretrainings = importlib.import_module("serjax.recipes.plan").pretrainings
    folders = {"iemocap": "X", "voxceleb": "V"}
    made = pretrainings(recipe, recipe.rows, folders, {}, 0, False)
    assert set(made) == {"resnet34_stats", "resnet34_mean"}
    for config in made.values():
        check_config(config)
        assert (config.data.target, config.data.data_dir) == ("speaker", "V")
    remaining = pretrainings(recipe, recipe.rows, folders, {"resnet34_stats": "R"}, 0, False)
    assert set(remaining) == {"resnet34_mean"}
    assert pretrainings(recipe, recipe.rows, {"iemocap": "X"}, {}, 0, False) == {}
    bundled = pretrainings(recipe, recipe.rows, None, {}, 0, True)
    assert {c.data.dataset_options["seed"] for c in bundled.values()} == {1}
    tested = [configured(recipe, row, None, small=True) for row in recipe.rows]
    assert all("seed" not in config.data.dataset_options for config in tested)


def test_rows_with_transfer_need_something_to_transfer(reproduce, tmp_path):
    labels = dict.fromkeys(("ang", "hap", "exc", "neu", "sad"), 3)
    root = iemocap(tmp_path / "iemocap", dict.fromkeys(range(1, 6), labels))
    status, output, errors = reproduce(
        *("padi2021", "--data-dir", f"iemocap={root}", "--only", "exp1-tl-aug-sp")
    )
    assert status == 2
    assert "left out exp1-tl-aug-sp: no --init resnet34_stats=RUN, and no voxceleb" in output
    assert "voxceleb: --data-dir voxceleb=DIR: the folders id10001" in output
    assert "nothing to run" in errors


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("padi2020",), ["unknown recipe 'padi2020': did you mean 'padi2021'"]),
        (("padi2021",), ["nothing to run", "--bundled"]),
        (("padi2021", "--only", "exp4"), ["unknown row 'exp4'", "exp1"]),
        (("padi2021", "--data-dir", "x"), ["expected CORPUS=DIR, found 'x'"]),
        (("padi2021", "--data-dir", "ravdess=x"), ["unknown corpus of this recipe 'ravdess'"]),
        (("padi2021", "--bundled", "--scale", "tiny"), ["unknown scale 'tiny'"]),
        (("padi2021", "--bundled", "--init", "x"), ["expected MODEL=RUN|FILE, found 'x'"]),
        (
            ("kapoor", "--bundled", "--init", "resnet51=x"),
            ["unknown model of this recipe 'resnet51': did you mean 'resnet50'"],
        ),
        (
            ("padi2021", "--data-dir", "iemocap=nowhere"),
            ["IEMOCAP: data directory nowhere does not exist", "https://sail.usc.edu/iemocap"],
        ),
    ],
)
def test_mistakes_are_reported_in_a_line(reproduce, arguments, messages):
    status, _, errors = reproduce(*arguments)
    assert status == 2
    assert "Traceback" not in errors
    for message in messages:
        assert message in errors


def test_a_missing_corpus_is_reported_with_its_source(reproduce):
    status, output, _ = reproduce("padi2021")
    assert status == 2
    assert "left out exp1: no iemocap" in output
    assert "iemocap: --data-dir iemocap=DIR: the folder with Session1" in output


def test_a_partial_corpus_is_reported_before_training(reproduce, tmp_path):
    # Of RAVDESS's 24 actors two, with files that are read only after the table.
    actors = ("01", "02")
    names = (f"Actor_{a}/03-01-{e:02}-01-01-01-{a}.wav" for a in actors for e in range(1, 9))
    root = touch(tmp_path / "part", *names)
    status, output, errors = reproduce(
        *("deepika2025", "--data-dir", f"ravdess={root}", "--only", "ravdess-raw")
    )
    assert status == 2
    expected = "ravdess is not as published: utterances 16 of 1,440; speakers 2 of 24"
    assert expected in output.replace("\n", " ")
    assert "Traceback" not in errors


# A part of each corpus, and the report on it.
PARTIAL = {
    "cremad": (("AudioWAV/1091_WSI_ANG_XX.wav",), "utterances 1 of 7,442; speakers 1 of 91"),
    "ravdess": (("Actor_01/03-01-05-01-01-01-01.wav",), "utterances 1 of 1,440; speakers 1 of 24"),
    "savee": (("AudioData/DC/a01.wav",), "utterances 1 of 480; speakers 1 of 4"),
    "tess": (("OAF_angry/OAF_back_angry.wav",), "utterances 1 of 2,800; speakers 1 of 2"),
    "voxceleb": (("wav/id10001/1zcIwhmdeo4/00001.wav",), "utterances 1 of 153,516"),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_recipes_corpora_are_checked(recipes, tmp_path, name):
    recipe = importlib.import_module(f"serjax.recipes.{name}").RECIPE
    deviating = importlib.import_module("serjax.recipes.plan").deviating_corpora
    wrong = touch(tmp_path / "wrong", "photo.jpg", "notes.txt")
    for corpus in recipe.corpora:
        with pytest.raises(CorpusError, match=r"wrong"):
            deviating({corpus: str(wrong)})
        if corpus == "iemocap":
            part = iemocap(tmp_path / corpus, {1: {"ang": 5, "sad": 5}, 2: {"neu": 5}})
            expected = "utterances 15 of 10,039; speakers 4 of 10"
        elif corpus in PARTIAL:
            files, expected = PARTIAL[corpus]
            part = touch(tmp_path / corpus, *files)
        else:  # its authors publish no counts of words
            assert corpus == "librispeech_words"
            continue
        (line,) = deviating({corpus: str(part)})
        assert line.startswith(f"{corpus} is not as published: {expected}")


def test_impossible_splits_are_reported_first(reproduce, tmp_path):
    # Two of five sessions: folds at random could be made, leaving a session out cannot.
    labels = dict.fromkeys(("ang", "hap", "exc", "neu", "sad"), 6)
    root = give_sound(iemocap(tmp_path / "part", {1: labels, 2: labels}))
    status, output, errors = reproduce(
        *("padi2021", "--data-dir", f"iemocap={root}", "--only", "exp1-plain", "--only", "exp1")
    )
    assert status == 2
    assert "iemocap is not as published" in output
    assert "exp1: " in errors
    assert "session" in errors
    assert "fold-1" not in output  # nothing was trained


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_from_its_command_on_the_bundled_corpus(recipes, reproduce, tmp_path, name):
    recipe = importlib.import_module(f"serjax.recipes.{name}").RECIPE
    status, _, errors = reproduce(name, "--bundled", "--scale", "small")
    assert status == 0, errors
    table = (tmp_path / "runs" / name / "table.md").read_text()
    check_tables(recipe, table, recipe.small_rows)
    assert "bundled corpus" in table


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepika2025", "padi2021"])
def test_every_table_of_a_generated_iemocap(recipes, reproduce, tmp_path, name):
    recipe = importlib.import_module(f"serjax.recipes.{name}").RECIPE
    labels = dict.fromkeys(("ang", "hap", "exc", "neu", "sad"), 4)
    trees = {
        "iemocap": iemocap(tmp_path / "iemocap", dict.fromkeys(range(1, 6), labels)),
        "ravdess": ravdess(tmp_path / "ravdess", actors=3),
        "voxceleb": touch(
            tmp_path / "voxceleb",
            *(f"id1000{s}/video/{n:05}.wav" for s in (1, 2) for n in range(6)),
        ),
    }
    rows = {
        "deepika2025": ("iemocap-clean", "ravdess-raw", "ravdess-clean", "cross-corpus", "alexnet"),
        "padi2021": ("exp1", "exp2", "exp3", "exp1-tl-aug-sp", "exp2-plain", "exp3-tl"),
    }[name]
    given = [  # no tone in two corpora
        f"{corpus}={give_sound(trees[corpus], lowest_hz=200 + number)}"
        for number, corpus in enumerate(recipe.corpora)
    ]
    arguments = [each for one in given for each in ("--data-dir", one)]
    arguments += [each for row in rows for each in ("--only", row)]
    status, output, errors = reproduce(name, "--scale", "small", *arguments)
    assert status == 0, errors
    assert "is not as published" in output
    table = (tmp_path / "runs" / name / "table.md").read_text()
    check_tables(recipe, table, rows)
    assert all(set(each.rows) & set(rows) for each in recipe.tables)
