"""Result files of a run."""

import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console

from serjax import report
from serjax.features import front_ends
from serjax.training import RunConfig, prepare_dataset
from serjax.training.input.dataset import embeds_audio
from serjax.training.run_folder.results import predict_splits, write_results
from serjax.training.trackers.progress import Clock
from tests.helpers.run_folders import config

CONFIG = RunConfig.make(dataset_options={"speakers": 5, "words": 2})


@pytest.fixture(scope="module")
def dataset():
    return prepare_dataset(CONFIG, front_ends.GUIZZO_REAL, Console(quiet=True))


def probabilities_of(dataset):
    """Returns a function of random probabilities, which depend on the utterance."""

    def predict(utterances):
        rng = np.random.default_rng(0)
        table = rng.dirichlet(np.ones(len(dataset.classes)), len(dataset.corpus))
        return table[utterances]

    return predict


def test_validation_and_test_set_are_predicted(dataset):
    predict = probabilities_of(dataset)
    predictions = predict_splits(predict, dataset)
    rows = np.concatenate([dataset.split.validation, dataset.split.test])
    assert predictions.splits == ["validation"] * len(dataset.split.validation) + ["test"] * len(
        dataset.split.test
    )
    assert predictions.paths == [dataset.corpus.utterances[i].path for i in rows]
    assert predictions.speakers == [dataset.corpus.utterances[i].speaker for i in rows]
    np.testing.assert_array_equal(predictions.true, dataset.labels[rows])
    np.testing.assert_array_equal(predictions.probabilities, predict(rows))
    np.testing.assert_array_equal(predictions.predicted, predict(rows).argmax(-1))


@pytest.mark.parametrize(
    ("options", "embeds"),
    [
        ({"dataset": "emodb"}, True),
        ({"dataset": "iemocap"}, False),
        ({"dataset": "iemocap", "audio": True}, True),
        ({"dataset": "emodb", "audio": False}, False),
        ({"dataset": "emodb", "test_dataset": "savee"}, False),
        ({"dataset": "joined", "dataset_options": {"corpora": {"voxceleb": "V"}}}, False),
    ],
)
def test_a_page_has_sound_if_licences_allow_it(options, embeds):
    assert embeds_audio(RunConfig.make(**options)) is embeds


def test_files_are_written_and_the_summary_is_printed(dataset, tmp_path):
    report.write_json(tmp_path / "config.json", config("svm"))
    predictions = predict_splits(probabilities_of(dataset), dataset)
    console, clock = Console(file=io.StringIO(), width=300), Clock()
    with clock.timed("train"):
        pass
    write_results(tmp_path, predictions, {"hyperparameters": {"c": 1}}, dataset, clock, console)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["hyperparameters"] == {"c": 1}
    expected = report.measure(predictions)
    assert metrics["test"]["ua"]["value"] == expected["test"]["ua"]["value"]
    assert report.read_predictions(tmp_path / "predictions.csv").paths == predictions.paths
    seconds = json.loads((tmp_path / "timing.json").read_text())
    assert set(seconds) == {"train", "report", "total"}
    assert seconds["total"] >= seconds["report"] > 0
    page = (tmp_path / "report.html").read_text()
    assert "data:audio/wav" in page  # the hardest utterances have sound
    silent = dataclasses.replace(dataset, embeds_audio=False)
    write_results(tmp_path, predictions, {}, silent, clock, console)
    page = (tmp_path / "report.html").read_text()
    assert "audio" not in page.partition("</style>")[2]
    assert page.count("data:image/png") > 4  # the spectrograms stay
    printed = console.file.getvalue()
    assert f"report {tmp_path / 'report.html'}" in printed
    assert "train 0.0 s" in printed
