"""Tables of papers: the results in a run folder next to the published values."""

import pytest

from serjax import report
from tests.helpers.run_folders import config, run_folder


@pytest.fixture(scope="module")
def run_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run_set") / "row"
    run_folder(folder / "fold-1", 10, (2.0, 1.0))
    run_folder(folder / "fold-2", 5, (4.0, 2.0, 3.0))
    report.write_json(folder / "config.json", config("dscnn", "x", "random"))
    report.write_run_set(folder, ["fold-1", "fold-2"], resamples=50)
    return folder


@pytest.fixture(scope="module")
def outcome(run_set):
    return report.read_outcome(run_set, "a row")


def lines_of(table, outcomes, folder=None):
    return report.paper_markdown(table, outcomes, folder or ".").splitlines()


def test_figures_of_every_kind(outcome):
    # Fold 1 has 10 of 10 correct, fold 2 the five of anger: 75 %, mean 75 and deviation 35.4.
    published = {
        "mean_wa": 66.02,
        "train_wa": 84,
        "train_loss": 0.5,
        "minutes": 14,
        "megabytes": 34.5,
        "sadness": 93,
    }
    table = report.Figures("Table 9", {"row": published})
    title, _, header, _, line = lines_of(table, {"row": [outcome]})
    assert title == "## Table 9"
    cells = dict(zip(header.split(" | "), line.split(" | "), strict=True))
    assert cells["WA, mean over the folds % here"] == "75.0 ± 35.4"
    assert cells["WA, mean over the folds % paper"] == "66.02"
    assert cells["training WA % here"] == "25"  # epochs 2 and 3 of the folds: 20 and 30 %
    assert cells["training loss here"] == "1.5"  # 1 and 2
    assert cells["training, minutes here"] == "1.0"
    assert cells["weights, MB here"] == "2.0"  # half a million of four bytes
    assert cells["recall of sadness % here |"] == "50.0 |"


def test_values_missing_from_the_text_and_values_of_other_systems(outcome):
    table = report.Figures("T", {"row": {"wa": None}}, {"BLSTM": {"wa": 59.33}})
    *_, others, line = lines_of(table, {"row": [outcome]})
    assert others == "| BLSTM | 59.33 |  |"
    assert line.startswith("| a row | not in the text | 75.0 (")


def test_tuned_rows_have_no_published_values(run_set, outcome):
    tuned = report.read_outcome(run_set, "a row, tuned", published=False)
    table = report.Figures("T", {"row": {"wa": 70}})
    *_, paper, ours = lines_of(table, {"row": [outcome, tuned]})
    assert paper.startswith("| a row | 70 | 75.0")
    assert ours.startswith("| a row, tuned |  | 75.0")


def test_classes(outcome):
    published = {"anger": (97, 88, 90), "weighted mean": (79, 76, 77)}
    lines = lines_of(report.PerClass("T", {"row": published}), {"row": [outcome]})
    # All 10 of anger are correct, and 5 of sadness; 15 are predicted as anger.
    assert "| a row | anger | 97 | 66.7 | 88 | 100.0 | 90 | 80.0 |" in lines
    assert "| a row | sadness |  | 100.0 |  | 50.0 |  | 66.7 |" in lines
    assert "| a row | weighted mean | 79 | 83.3 | 76 | 75.0 | 77 | 73.3 |" in lines


def test_confusion_in_per_cent_of_the_true_class(outcome):
    table = report.Confusion("T", "row", ("anger", "sad"), ((93, 6.4), (9.3, 90.5)))
    lines = lines_of(table, {"row": [outcome]})
    assert "| sadness | 50.0 | 50.0 |" in lines
    assert "| sad | 9.3 | 90.5 |" in lines
    unpublished = lines_of(report.Confusion("T", "row"), {"row": [outcome]})
    assert unpublished[-1] == "The paper's figures are not in the text."


def test_epochs_are_means_of_the_runs_that_reached_them(outcome, tmp_path):
    table = report.Epochs("T", "row", {"train_loss": (0.3, 0.2, 0.1, 0.05)})
    lines = lines_of(table, {"row": [outcome]})
    expected = ["| 1 | 0.3 | 3 |", "| 2 | 0.2 | 1.5 |", "| 3 | 0.1 | 3 |", "| 4 | 0.05 |  |"]
    assert lines[-4:] == expected
    rates = lines_of(report.Epochs("T", "row", {"learning_rate": ()}), {"row": [outcome]})
    assert rates[2] == "| epoch of a row | learning rate paper | learning rate here |"
    assert rates[-1] == "| 3 |  | 0.01 |"
    curves = report.Curves("C", ("row", "absent"), "curves.png")
    assert "![C](curves.png)" in lines_of(curves, {"row": [outcome]}, tmp_path)
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_single_run_has_no_folds(tmp_path):
    run_folder(tmp_path / "run", 10, (1.0,))
    outcome = report.read_outcome(tmp_path / "run", "a run")
    table = report.Figures("T", {"row": {"wa": 60.44, "mean_wa": None, "megabytes": None}})
    (*_, line) = lines_of(table, {"row": [outcome]})
    assert line == (
        "| a run | 60.44 | 100.0 (100.0 – 100.0) | not in the text |  | not in the text | 2.0 |"
    )


def test_tables_without_results_are_left_out():
    for table in (report.Figures("T", {"row": {"wa": 1}}), report.Confusion("T", "row")):
        assert report.paper_markdown(table, {}, ".") == ""
