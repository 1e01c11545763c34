"""The files, figures and page of a run folder."""

import base64
import dataclasses
import html.parser
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from rich.console import Console

from serjax import files, report
from serjax.report.drawing import png
from serjax.report.figures import _percent

# File names as the operating system gives them: any characters but NUL, and bytes that are not
# UTF-8 as surrogate escapes (PEP 383).
NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    st.just(b"J\xfcrgen/\xe4rger.wav".decode("utf-8", "surrogateescape")),
)
HOSTILE = "<b>&\"'"
LONG = [
    "neutral-unemotional",
    "calm-contented",
    "happiness-joy",
    "sadness-grief",
    "anger-frustration",
    "fear-anxiety",
    "disgust-contempt",
    "surprise-positive",
    "surprise-negative",
    "boredom-indifference",
    "amusement-laughter",
    "embarrassment-shame",
]


def history(epochs):
    return [
        {name: epoch if name == "epoch" else 1 / 3 + epoch / 7e3 for name in report.HISTORY_COLUMNS}
        for epoch in range(1, epochs + 1)
    ]


def predictions(classes, per_speaker=12, seed=0):
    """Random answers of four test and two validation speakers, half of them right."""
    generator = np.random.default_rng(seed)
    size = 6 * per_speaker
    true = np.arange(size) % len(classes)
    probabilities = generator.dirichlet(np.ones(len(classes)), size)
    probabilities[: size // 2][np.arange(size // 2), true[: size // 2]] += 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    speakers = [f"s{i % 6}" for i in range(size)]
    return report.Predictions(
        classes=classes,
        paths=[f"{speaker}/{i}.wav" for i, speaker in enumerate(speakers)],
        speakers=speakers,
        true=true,
        predicted=probabilities.argmax(axis=1),
        probabilities=probabilities.astype(np.float32),
        parts=["validation" if speaker > "s3" else "test" for speaker in speakers],
    )


def write_run(folder, classes=("angry", "calm", "sad"), epochs=5, **config):
    answers = predictions(list(classes))
    report.write_json(
        folder / "config.json", {"model": "rhemo", "dataset": "emodb", "split": "speaker"} | config
    )
    report.write_history(folder / "history.csv", history(epochs))
    report.write_predictions(folder / "predictions.csv", answers)
    seconds = {"data": 1.0, "compile": 2.0, "train": 90.0, "evaluate": 1.0, "total": 100.0}
    report.write_json(folder / "timing.json", seconds)
    report.write_json(
        folder / "metrics.json",
        report.measure(answers, resamples=50)
        | {"best_epoch": min(2, epochs), "parameters": 1234567},
    )
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


# Files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    files.write_text_atomic(path, "old\r\n")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_text_atomic(path, "new")
    assert path.read_bytes() == b"old\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    files.write_bytes_atomic(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@given(st.lists(st.floats(allow_nan=False, width=64), min_size=9, max_size=9), NAMES)
def test_history_round_trip_is_exact(tmp_path_factory, numbers, name):
    path = tmp_path_factory.getbasetemp() / "history.csv"
    rows = [dict(zip(report.HISTORY_COLUMNS, numbers, strict=True)) | {f"x{name}": 0.1}]
    rows[0]["epoch"] = 3
    report.write_history(path, rows)
    assert report.read_history(path) == rows


def test_history_takes_numpy_and_jax_scalars_and_nan(tmp_path):
    import jax.numpy as jnp

    rows = history(2)
    rows[0]["train_loss"] = np.float32(0.1)
    rows[0]["train_wa"] = jnp.float32(0.1)
    rows[1]["validation_loss"] = float("nan")
    report.write_history(tmp_path / "h.csv", rows)
    first, second = report.read_history(tmp_path / "h.csv")
    assert first["train_loss"] == first["train_wa"] == float(np.float32(0.1))
    assert np.isnan(second["validation_loss"])
    assert isinstance(first["epoch"], int)


@given(
    st.lists(NAMES, min_size=2, max_size=3, unique=True),
    st.lists(st.tuples(NAMES, NAMES, st.floats(0, 1, width=32)), max_size=4),
)
def test_predictions_round_trip_is_exact(tmp_path_factory, classes, rows):
    path = tmp_path_factory.getbasetemp() / "predictions.csv"
    probabilities = np.array([[row[2]] * len(classes) for row in rows], np.float32)
    written = report.Predictions(
        classes=classes,
        paths=[row[0] for row in rows],
        speakers=[row[1] for row in rows],
        true=np.arange(len(rows)) % 2,
        predicted=np.zeros(len(rows), int),
        probabilities=probabilities.reshape(len(rows), len(classes)),
        parts=["validation"] * len(rows),
    )
    report.write_predictions(path, written)
    read = report.read_predictions(path)
    for field in dataclasses.fields(report.Predictions):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(written, field.name))


def test_json_takes_arrays_and_paths_but_not_nan(tmp_path):
    path = tmp_path / "config.json"
    report.write_json(path, {"a": np.float32(0.5), "b": np.arange(2), "c": tmp_path, "d": "ü"})
    assert json.loads(path.read_text("utf-8")) == {
        "a": 0.5,
        "b": [0, 1],
        "c": str(tmp_path),
        "d": "ü",
    }
    with pytest.raises(ValueError, match="JSON"):
        report.write_json(path, {"loss": float("nan")})
    with pytest.raises(TypeError, match=r"config\.json: cannot write set"):
        report.write_json(path, {"a": {1}})


@pytest.mark.parametrize("name", ["config.json", "predictions.csv", "metrics.json"])
def test_a_missing_file_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: expected a file.*No such file"):
        report.write_page(run)


def test_a_run_without_history_has_no_curves(run):
    (run / "history.csv").unlink()
    page = report.write_page(run).read_text("utf-8")
    assert "<h2>Training</h2>" not in page
    assert "<h2>Confusion</h2>" in page
    assert not (run / "curves.png").exists()


def test_a_summary_of_several_runs_is_named(run):
    (run / "summary.json").write_text('{"runs": []}')
    with pytest.raises(ValueError, match=r"summary\.json: expected mean"):
        report.write_page(run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json: expected JSON"),
        ("config.json", "[]", "config.json: expected a JSON object, found list"),
        ("config.json", '{"model": "a", "split": "b"}', "expected dataset, found none"),
        (
            "config.json",
            '{"model": "a", "dataset": "b", "split": "c", "notes": "d"}',
            "expected a list of strings in notes, found 'd'",
        ),
        ("history.csv", "epoch,seconds\n1,2\n", "found no train_loss, train_wa"),
        ("history.csv", ",".join(report.HISTORY_COLUMNS), "expected at least one epoch"),
        (
            "history.csv",
            ",".join(report.HISTORY_COLUMNS) + "\n1,x,1,1,1,1,1,1,1",
            "line 2: expected a number in column train_loss, found 'x'",
        ),
        (
            "history.csv",
            ",".join(report.HISTORY_COLUMNS) + "\n1,2",
            "line 2: expected 9 columns, found 2",
        ),
        ("history.csv", ",".join((*report.HISTORY_COLUMNS, "epoch")), "different names"),
        ("predictions.csv", "path,true\n", "found no part, speaker, predicted"),
        ("predictions.csv", "part,path,speaker,true,predicted\n", "found part, path"),
        (
            "predictions.csv",
            "path,part,speaker,true,predicted,p_a\nx,test,s,a,b,1\n",
            r"line 2: expected one of the classes \['a'\], found 'b'",
        ),
        (
            "predictions.csv",
            "path,part,speaker,true,predicted,p_a\nx,test,s,a,a,nan\n",
            r"probability in \[0, 1\] in column p_a, found 'nan'",
        ),
        (
            "predictions.csv",
            "path,part,speaker,true,predicted,p_a\nx,test,s,a,a,high\n",
            r"probability in \[0, 1\] in column p_a, found 'high'",
        ),
        ("predictions.csv", 'path,part,speaker,true,predicted\n"x', "line 2: expected CSV"),
        ("metrics.json", "{}", "metrics.json: expected test, found none"),
    ],
)
def test_a_malformed_file_says_what_was_expected(run, name, content, message):
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        report.write_page(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["test"].pop("ua"), r"expected test\.ua, found none"),
        (lambda m: m["test"].update(wa=0.5), r"expected test\.wa\.value, found none"),
        (lambda m: m["validation"]["ua"].pop("low"), r"expected validation\.ua\.low, found none"),
        (lambda m: m["per_class"].pop("sad"), r"expected per_class\.sad, found none"),
        (lambda m: m["test"]["ua"].update(low="?"), r"a number in test\.ua\.low, found '\?'"),
        (lambda m: m.update(classes=3), "expected a list of names in classes, found 3"),
        (lambda m: m["confusion"][0].pop(), "expected rows of numbers of one length"),
        (lambda m: m["confusion"].pop(), r"confusion matrix of 3 classes, found shape \(2, 3\)"),
    ],
)
def test_malformed_metrics_say_what_was_expected(run, change, message):
    metrics = json.loads((run / "metrics.json").read_text())
    change(metrics)
    report.write_json(run / "metrics.json", metrics)
    with pytest.raises(ValueError, match=message):
        report.read_metrics(run / "metrics.json")


def test_wrong_rows_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"differs in .*'seconds'"):
        report.write_history(tmp_path / "h.csv", [dict.fromkeys(report.HISTORY_COLUMNS[:-1], 1)])
    arguments = {"paths": ["a"], "speakers": ["s"], "true": [0], "predicted": [0]}
    with pytest.raises(ValueError, match=r"probabilities of 1 utterances must be \(1, 2\)"):
        report.Predictions(classes=["x", "y"], probabilities=[[1]], **arguments)
    with pytest.raises(ValueError, match="true must index 1 classes, got 1 to 1"):
        report.Predictions(classes=["x"], probabilities=[[1]], **arguments | {"true": [1]})
    with pytest.raises(ValueError, match="class names must differ"):
        report.Predictions(classes=["x", "x"], probabilities=[[1, 0]], **arguments)
    assert not list(tmp_path.iterdir())


# Metrics of the predictions


def test_measure_counts_each_part():
    answers = predictions(["a", "b", "c"])
    measured = report.measure(answers, resamples=50)
    test = [i for i, part in enumerate(answers.parts) if part == "test"]
    right = answers.true[test] == answers.predicted[test]
    assert measured["test"]["wa"]["value"] == pytest.approx(right.mean())
    assert measured["test"]["utterances"] == len(test) == np.sum(measured["confusion"])
    assert (measured["test"]["speakers"], measured["validation"]["speakers"]) == (4, 2)
    of_true = answers.probabilities[test, answers.true[test]]
    assert measured["test"]["loss"] == pytest.approx(-np.log(of_true).mean(), rel=1e-5)
    for i, name in enumerate("abc"):
        row = measured["per_class"][name]
        assert row["support"] == (answers.true[test] == i).sum()
        assert row["recall"] == pytest.approx(right[answers.true[test] == i].mean())
    wide = report.measure(answers, over="speakers", resamples=50)
    assert wide["interval"]["over"] == "speakers"
    assert wide["test"]["wa"]["low"] != measured["test"]["wa"]["low"]


def test_measure_of_a_probability_of_zero_is_finite():
    answers = report.Predictions(["a", "b"], ["x"], ["s"], [0], [1], [[0.0, 1.0]])
    assert report.measure(answers)["test"]["loss"] == pytest.approx(87.3, abs=0.1)


def test_measure_checks_its_arguments():
    answers = predictions(["a", "b"])
    with pytest.raises(ValueError, match="got 'rooms'"):
        report.measure(answers, over="rooms")
    with pytest.raises(ValueError, match=r"found parts \{'validation'\}"):
        report.measure(answers.of_part("validation"))


@pytest.mark.parametrize("terminal", [True, False])
def test_summary_shows_every_class_and_interval(terminal):
    measured = report.measure(predictions(["[red]angry", "calm"]), resamples=50)
    out = io.StringIO()
    report.print_summary(Console(file=out, force_terminal=terminal, width=80), measured)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert "[red]angry" in text
    assert "…" not in text
    for part in ("test", "validation"):
        for interval in (measured[part][key] for key in ("wa", "ua", "f1_macro")):
            assert f"{100 * interval['low']:.1f} – {100 * interval['high']:.1f}" in text
    if not terminal:
        assert text.replace("–", "-").isascii()
        assert "\x1b" not in out.getvalue()


# Figures


def pixels(content):
    """Width and height, after checking the signature and every chunk's checksum."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        body = content[at + 4 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            body
        )
        at += 12 + length
    assert imread(io.BytesIO(content)).ndim == 3
    return struct.unpack(">II", content[16:24])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_curves_of_any_length(tmp_path, epochs, dark):
    figure = report.plot_curves(history(epochs), tmp_path / "curves.png", epochs, dark=dark)
    width, height = pixels((tmp_path / "curves.png").read_bytes())
    assert 1000 < width < 2000
    assert 400 < height < 1000
    for axes in figure.axes:
        assert all(tick == round(tick) for tick in axes.get_xticks())


def test_curves_leave_out_what_was_not_measured():
    rows = [row | {"validation_loss": np.nan} for row in history(12)]
    assert pixels(png(report.plot_curves(rows, best_epoch=3)))
    rows = [dict.fromkeys(row, np.nan) | {"epoch": row["epoch"]} for row in rows]
    assert pixels(png(report.plot_curves(rows)))


def overlaps(corners, others):
    """Whether two convex quadrilaterals overlap: no side of either separates them."""
    for shape in (corners, others):
        for start, end in zip(shape, np.roll(shape, -1, axis=0), strict=True):
            normal = np.array([start[1] - end[1], end[0] - start[0]])
            one, two = corners @ normal, others @ normal
            if one.max() <= two.min() or two.max() <= one.min():
                return False
    return True


def corners(text, renderer):
    """Corners of a text as it is drawn, turned about its anchor."""
    angle = np.deg2rad(text.get_rotation())
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    anchor = text.get_transform().transform(text.get_position())
    text.set_rotation(0)
    box = text.get_window_extent(renderer)
    text.set_rotation(np.rad2deg(angle))
    flat = np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1]])
    return (flat - anchor) @ turn.T + anchor


@pytest.mark.parametrize("classes", [["no", "anger"], LONG[:7], LONG])
@pytest.mark.parametrize("count", [3, 48_000])
def test_confusion_texts_neither_overlap_nor_leave_the_picture(classes, count):
    size = len(classes)
    figure = report.plot_confusion(np.full((size, size), count), classes)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    (axes,) = figure.axes
    texts = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
    texts += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
    texts = [text for text in texts if text.get_text()]
    assert {text.get_text() for text in texts} >= {*classes, f"{count * size}", "true", "predicted"}
    drawn = [corners(text, renderer) for text in texts]
    for i, one in enumerate(drawn):
        for other, two in zip(texts[:i], drawn[:i], strict=True):
            assert not overlaps(one, two), (texts[i].get_text(), other.get_text())
    whole = figure.get_tightbbox(renderer)
    for each in drawn:
        inches = each / figure.dpi
        assert (inches >= np.array(whole.min) - 0.05).all()
        assert (inches <= np.array(whole.max) + 0.05).all()
    width, height = pixels(png(figure))
    assert 400 < width < 2400
    assert 400 < height < 2400


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_stand_out_from_their_cells(dark):
    shares = np.arange(11) * 10
    counts = np.diag(shares) + np.diag(100 - shares[:-1], 1)
    figure = report.plot_confusion(counts, [f"c{i}" for i in range(11)], dark=dark)
    (axes,) = figure.axes
    image = axes.images[0]

    def luminance(color):
        srgb = np.array(color[:3])
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    checked = 0
    for text in axes.texts:
        if text.get_ha() == "center":
            column, row = (round(place) for place in text.get_position())
            cell = luminance(image.cmap(image.norm(image.get_array()[row, column])))
            ink = luminance(to_rgb(text.get_color()))
            # WCAG 2.2 asks for 3 of large text and 4.5 of small; 4.2 is the best on a mid tone.
            assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) > 4, text.get_text()
            checked += 1
    assert checked == 2 * np.count_nonzero(counts)


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [
        ("true", ["75", "25", "100"]),
        ("predicted", ["100", "50", "50"]),
        ("all", ["60", "20", "20"]),
    ],
)
def test_confusion_percentages(normalize, expected):
    (axes,) = report.plot_confusion([[3, 1], [0, 1]], ["a", "b"], normalize=normalize).axes
    centered = [text.get_text() for text in axes.texts if text.get_ha() == "center"]
    assert centered[::2] == expected
    assert centered[1::2] == ["3", "1", "1"]


def test_percentages_say_all_or_none_only_where_it_is():
    assert [_percent(share) for share in (0, 0.001, 0.5, 0.999, 1)] == [
        "0",
        "<1",
        "50",
        ">99",
        "100",
    ]


def test_confusion_of_absent_classes_and_dollar_names(tmp_path):
    paths = [tmp_path / "c.png", tmp_path / "c.pdf"]
    report.plot_confusion(np.zeros((2, 2)), ["$\\bad$", "_^"], paths, title=False)
    assert pixels(paths[0].read_bytes())
    assert paths[1].read_bytes().startswith(b"%PDF")
    # Publishers refuse Type 3 fonts.
    assert b"/Type3" not in paths[1].read_bytes()


def test_figures_check_their_arguments():
    with pytest.raises(ValueError, match=r"of 2 classes must be \(2, 2\), got \(3, 3\)"):
        report.plot_confusion(np.ones((3, 3)), ["a", "b"])
    with pytest.raises(ValueError, match="got 'rows'"):
        report.plot_confusion(np.ones((1, 1)), ["a"], normalize="rows")
    with pytest.raises(ValueError, match="at least one epoch"):
        report.plot_curves([])
    with pytest.raises(ValueError, match=r"\[frames, bins\], got shape \(3,\)"):
        report.spectrogram_png(np.zeros(3), 1.0, 8000)
    with pytest.raises(ValueError, match=r"got 1\.0 and 0"):
        report.spectrogram_png(np.zeros((3, 3)), 1.0, 0)


@pytest.mark.parametrize("fill", [0.0, -np.inf, np.nan])
def test_spectrogram_of_silence(fill):
    width, height = pixels(report.spectrogram_png(np.full((50, 20), fill), 0.5, 8000))
    assert width > height > 200


def test_spectrogram_time_runs_right_and_frequency_up():
    decibels = np.full((40, 30), -100.0)
    decibels[30:, 20:] = 0
    image = imread(io.BytesIO(report.spectrogram_png(decibels, 1.0, 8000)))
    # The brightest of magma is a pale yellow; the axes' grey is darker.
    rows, columns = np.nonzero(image[..., :3].sum(axis=2) * image[..., 3] > 2.4)
    assert columns.min() > 0.6 * image.shape[1]
    assert rows.max() < 0.4 * image.shape[0]


def test_importing_is_cheap_and_drawing_leaves_global_state_alone():
    code = """
import sys
import serjax.metrics
from serjax import report
assert "matplotlib" not in sys.modules
import matplotlib
matplotlib.rcParams["font.size"] = 31
before = matplotlib.rcParams.copy()
report.plot_confusion([[1]], ["a"])
report.spectrogram_png([[1.0]], 1.0, 8000)
assert "matplotlib.pyplot" not in sys.modules
# Reading the backend chooses one.
settings = set(before) - {"backend"}
assert all(matplotlib.rcParams[name] == before[name] for name in settings)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


# Page


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
        if answers.parts[i] == "test" and answers.true[i] != answers.predicted[i]
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
