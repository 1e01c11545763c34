"""Report page of a run folder."""

import base64
import dataclasses
import html.parser
import shutil

import numpy as np
import pytest

from serjax import report
from serjax.data import Identity
from tests.helpers.run_folders import config, history, pixels, predictions, write_run

HOSTILE = "<b>&\"'"


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


class Elements(html.parser.HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def read_page(path):
    page = Elements()
    page.feed(path.read_text("utf-8", "surrogateescape"))
    assert not page.open
    return page


def test_page_contains_all_results(tmp_path):
    run = write_run(
        tmp_path,
        seed=7,
        resolved_front_end={"bins": 128},
        auxiliary_losses=["anti_transfer"],
        device="NVIDIA H200",
        command=["python", "train.py", "--data-dir", "a b"],
        notes=["skipped x.wav: empty"],
    )
    assert report.write_page(run) == run / "report.html"
    page = read_page(run / "report.html")
    text = " ".join(page.texts)
    metrics = report.read_metrics(run / "metrics.json")
    for key in ("wa", "ua", "f1_macro"):
        value, low, high = (100 * metrics["test"][key][end] for end in ("value", "low", "high"))
        assert f"{value:.1f}" in page.texts
        assert f"{low:.1f} – {high:.1f}" in page.texts
    for expected in (
        "rhemo on emodb",
        "speaker split",
        "1,234,567 parameters",
        "48 test utterances of 4 speakers",
        "chance, the grey mark: UA 33.3 % (3 classes)",
        "95 % bootstrap intervals over utterances",
        "resolved_front_end.bins 128",
        "data.split speaker",
        "seed 7",
        "Auxiliary loss anti_transfer: 0.333 at the first epoch, 0.334 at the last.",
        "NVIDIA H200",
        "python train.py --data-dir 'a b'",
        "skipped x.wav: empty",
        "1 min 30 s 90.0",
        "other 6.0 s 6.0",
        "The best checkpoint is that of epoch 2.",
    ):
        assert expected in text
    for name in ("curves.png", "confusion.png", "confusion.pdf"):
        assert (run / name).stat().st_size > 1000
    assert "nan" not in text.lower().split()


def test_page_loads_nothing_and_runs_nothing(run):
    page = report.write_page(run).read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert "url(" not in page
    elements = read_page(run / "report.html")
    assert not {"script", "link", "iframe", "object"} & set(elements.tags)
    sources = [value for name, value in elements.attributes if name in ("src", "srcset", "href")]
    assert len(sources) == 4
    for source in sources:
        kind, content = source.split(",")
        assert kind == "data:image/png;base64"
        width, height = pixels(base64.b64decode(content))
        assert 300 < width < 3000
        assert 300 < height < 3000


def test_page_escapes_everything(tmp_path):
    run = write_run(
        tmp_path,
        classes=[HOSTILE, "b", "<script>"],
        model=HOSTILE,
        command=["a", HOSTILE],
        notes=[HOSTILE],
        **{HOSTILE: {HOSTILE: [HOSTILE]}},
    )
    (hard,) = report.hardest_utterances(report.read_predictions(run / "predictions.csv"), 1)
    hard = dataclasses.replace(
        hard,
        utterance=Identity(HOSTILE),
        speaker=HOSTILE,
        true=HOSTILE,
        spectrogram=np.zeros((9, 9)),
        seconds=1,
        max_hz=8000,
    )
    page = read_page(report.write_page(run, hardest=[hard]))
    assert "script" not in page.tags
    assert page.tags.count("b") == 2  # those of "<b>true</b> predicted as <b>predicted</b>"
    assert page.texts.count(HOSTILE) >= 6
    assert ("alt", f"Spectrogram of {HOSTILE}") in page.attributes


def test_hardest_utterances_are_the_wrong_ones_by_loss():
    run_predictions = predictions(["a", "b", "c", "d", "e", "f", "g"])
    hard = report.hardest_utterances(run_predictions, 5)
    assert len(hard) == 5
    of_true = [each.probabilities[each.true] for each in hard]
    assert of_true == sorted(of_true)
    wrong = [
        run_predictions.probabilities[i, run_predictions.true[i]]
        for i in range(len(run_predictions))
        if run_predictions.splits[i] == "test"
        and run_predictions.true[i] != run_predictions.predicted[i]
    ]
    assert of_true[0] == pytest.approx(min(wrong))
    assert all(each.true != each.predicted for each in hard)


def test_page_shows_the_true_class_even_when_it_is_least_probable(tmp_path):
    run = write_run(tmp_path, classes=list("abcdefgh"))
    probabilities = {name: (8 - i) / 36 for i, name in enumerate("abcdefgh")}
    hard = report.HardUtterance(
        Identity("x.wav", 1, 2.5),
        "s",
        "h",
        "a",
        probabilities,
        np.zeros((20, 8)),
        1.5,
        8000,
        b"RIFF",
    )
    page = read_page(report.write_page(run, hardest=[hard]))
    assert page.tags.count("audio") == 1
    assert "x.wav (1 s to 2.5 s)" in page.texts
    assert ("src", "data:audio/wav;base64,UklGRg==") in page.attributes
    assert ("class", "true") in page.attributes
    assert page.tags.count("img") == 3


def test_page_of_one_epoch_one_speaker_and_no_mistakes(tmp_path):
    names = ["joy", "fear", "never"]
    correct = report.Predictions(
        names, ["a", "b"], ["s", "s"], [0, 1], [0, 1], [[1.0, 0, 0], [0, 1.0, 0]]
    )
    report.write_json(tmp_path / "config.json", config("m", "d", "random"))
    report.write_history(tmp_path / "history.csv", history(1))
    report.write_predictions(tmp_path / "predictions.csv", correct)
    report.write_json(tmp_path / "metrics.json", report.measure(correct))
    page = read_page(report.write_page(tmp_path))
    text = " ".join(page.texts)
    assert "All predictions for the test set are correct." in text
    assert "UA 50.0 % (2 classes)" in text
    # The class without utterances has no recall, which is not a recall of 0.
    assert "never 0.0 – 0.0 0" in text
    for absent in ("Speakers", "To reproduce", "Time", "Notes"):
        assert absent not in page.texts
    assert "nan" not in text.lower().split()


def test_page_names_fold_test_corpus_and_groups_in_lists(tmp_path):
    data = {"dataset": "emodb", "split": "random", "fold": "2/5", "test_dataset": "ravdess"}
    terms = [{"name": "anti_transfer", "weight": 0.5, "options": {"layer": 3}}]
    run = write_run(tmp_path, data=data, auxiliary_losses=["anti_transfer"])
    written = report.read_config(run / "config.json")
    report.write_json(run / "config.json", written | {"auxiliary_losses": terms})
    text = " ".join(read_page(report.write_page(run)).texts)
    assert "rhemo on emodb, tested on ravdess" in text
    assert "fold 2/5" in text
    assert "auxiliary_losses.1.name anti_transfer" in text
    assert "auxiliary_losses.1.options.layer 3" in text


def test_page_of_a_set_of_runs_names_its_protocol(tmp_path):
    run = write_run(tmp_path, protocol="speaker-folds", runs=["fold-1", "fold-2"])
    page = read_page(report.write_page(run))
    assert "speaker-folds" in page.texts
    assert "speaker split" not in page.texts


def test_page_is_rebuilt_the_same(run, tmp_path_factory):
    other = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(run, other)
    names = ("report.html", "curves.png", "confusion.png", "confusion.pdf")
    report.write_page(run)
    report.write_page(other)
    for name in names:
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
