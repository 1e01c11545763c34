"""The page of a run folder."""

import base64
import dataclasses
import html.parser
import shutil

import numpy as np
import pytest

from serjax import report
from tests.helpers.run_folders import history, pixels, predictions, write_run

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


def test_page_contains_what_it_must(tmp_path):
    run = write_run(
        tmp_path,
        seed=7,
        features={"bins": 128},
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
        "features.bins 128",
        "NVIDIA H200",
        "python train.py --data-dir 'a b'",
        "skipped x.wav: empty",
        "1 min 30 s 90.0",
        "other 6.0 s 6.0",
        "The weights of epoch 2 were kept.",
    ):
        assert expected in text
    for name in ("curves.png", "confusion.png", "confusion.pdf"):
        assert (run / name).stat().st_size > 1000
    assert "nan" not in text.lower().split()


def test_page_asks_for_nothing_and_runs_nothing(run):
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
    answers = report.read_predictions(run / "predictions.csv")
    hard = report.hardest_utterances(answers, 1)[0]
    hard = dataclasses.replace(
        hard,
        path=HOSTILE,
        speaker=HOSTILE,
        true=HOSTILE,
        spectrogram=np.zeros((9, 9)),
        seconds=1,
        max_hz=8000,
    )
    page = read_page(report.write_page(run, hardest=[hard]))
    assert "script" not in page.tags
    assert page.tags.count("b") == 2  # those of "<b>true</b> taken for <b>predicted</b>"
    assert page.texts.count(HOSTILE) >= 6
    assert ("alt", f"Spectrogram of {HOSTILE}") in page.attributes


def test_hardest_utterances_are_the_wrong_ones_by_loss():
    answers = predictions(["a", "b", "c", "d", "e", "f", "g"])
    hard = report.hardest_utterances(answers, 5)
    assert len(hard) == 5
    given = [each.probabilities[each.true] for each in hard]
    assert given == sorted(given)
    wrong = [
        answers.probabilities[i, answers.true[i]]
        for i in range(len(answers))
        if answers.splits[i] == "test" and answers.true[i] != answers.predicted[i]
    ]
    assert given[0] == pytest.approx(min(wrong))
    assert all(each.true != each.predicted for each in hard)


def test_page_shows_the_true_class_even_when_it_is_least_probable(tmp_path):
    run = write_run(tmp_path, classes=list("abcdefgh"))
    probabilities = {name: (8 - i) / 36 for i, name in enumerate("abcdefgh")}
    hard = report.HardUtterance(
        "x.wav", "s", "h", "a", probabilities, np.zeros((20, 8)), 1.5, 8000, b"RIFF"
    )
    page = read_page(report.write_page(run, hardest=[hard]))
    assert page.tags.count("audio") == 1
    assert ("src", "data:audio/wav;base64,UklGRg==") in page.attributes
    assert ("class", "true") in page.attributes
    assert page.tags.count("img") == 3


def test_page_of_one_epoch_one_speaker_and_no_mistakes(tmp_path):
    names = ["joy", "fear", "never"]
    answers = report.Predictions(
        names, ["a", "b"], ["s", "s"], [0, 1], [0, 1], [[1.0, 0, 0], [0, 1.0, 0]]
    )
    report.write_json(tmp_path / "config.json", {"model": "m", "dataset": "d", "split": "random"})
    report.write_history(tmp_path / "history.csv", history(1))
    report.write_predictions(tmp_path / "predictions.csv", answers)
    report.write_json(tmp_path / "metrics.json", report.measure(answers))
    page = read_page(report.write_page(tmp_path))
    text = " ".join(page.texts)
    assert "No test utterance was mistaken." in text
    assert "UA 50.0 % (2 classes)" in text
    # The class without utterances has no recall, which is not a recall of 0.
    assert "never 0.0 – 0.0 0" in text
    for absent in ("Speakers", "To reproduce", "Time", "Notes"):
        assert absent not in page.texts
    assert "nan" not in text.lower().split()


def test_page_is_rebuilt_the_same(run, tmp_path_factory):
    other = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(run, other)
    names = ("report.html", "curves.png", "confusion.png", "confusion.pdf")
    report.write_page(run)
    report.write_page(other)
    for name in names:
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
