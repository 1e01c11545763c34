"""Figures of a run: curves, confusion matrix, spectrograms."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from serjax import report
from serjax.report.plots.confusion import _percent
from serjax.report.plots.drawing import png
from tests.helpers.run_folders import history, pixels

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


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_curves_of_any_length(tmp_path, epochs, dark):
    figure = report.plot_curves(history(epochs), tmp_path / "curves.png", epochs, dark=dark)
    width, height = pixels((tmp_path / "curves.png").read_bytes())
    assert 1000 < width < 2000
    assert 400 < height < 1000
    for axes in figure.axes:
        assert all(tick == round(tick) for tick in axes.get_xticks())


def test_curves_leave_out_values_that_were_not_measured():
    rows = [row | {"validation_loss": np.nan} for row in history(12)]
    assert pixels(png(report.plot_curves(rows, best_epoch=3)))
    rows = [dict.fromkeys(row, np.nan) | {"epoch": row["epoch"]} for row in rows]
    assert pixels(png(report.plot_curves(rows)))


@pytest.mark.parametrize("names", [(), ("anti_transfer",), ("anti_transfer", "triplet")])
def test_curves_show_auxiliary_losses_under_their_names(names):
    rows = history(12, names)
    figure = report.plot_curves(rows, best_epoch=3)
    assert pixels(png(figure))
    panels = figure.axes[2:]
    assert len(panels) == bool(names)
    lines = [line for axes in panels for line in axes.get_lines() if line.get_label() in names]
    assert [line.get_label() for line in lines] == list(names)
    for line in lines:
        expected = [row[f"train_{line.get_label()}"] for row in rows]
        np.testing.assert_allclose(line.get_ydata(), expected)


def overlaps(corners, others):
    """Returns True if two convex quadrilaterals overlap: no side of either separates them."""
    for shape in (corners, others):
        for start, end in zip(shape, np.roll(shape, -1, axis=0), strict=True):
            normal = np.array([start[1] - end[1], end[0] - start[0]])
            one, two = corners @ normal, others @ normal
            if one.max() <= two.min() or two.max() <= one.min():
                return False
    return True


def corners(text, renderer):
    """Returns the corners of a plotted text, rotated about its anchor."""
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
def test_confusion_texts_neither_overlap_nor_leave_the_figure(classes, count):
    size = len(classes)
    figure = report.plot_confusion(np.full((size, size), count), classes)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    (axes,) = figure.axes
    texts = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
    texts += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
    texts = [text for text in texts if text.get_text()]
    assert {text.get_text() for text in texts} >= {*classes, f"{count * size}", "true", "predicted"}
    quadrilaterals = [corners(text, renderer) for text in texts]
    for i, one in enumerate(quadrilaterals):
        for other, two in zip(texts[:i], quadrilaterals[:i], strict=True):
            assert not overlaps(one, two), (texts[i].get_text(), other.get_text())
    whole = figure.get_tightbbox(renderer)
    for each in quadrilaterals:
        inches = each / figure.dpi
        assert (inches >= np.array(whole.min) - 0.05).all()
        assert (inches <= np.array(whole.max) + 0.05).all()
    width, height = pixels(png(figure))
    assert 400 < width < 2400
    assert 400 < height < 2400


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_contrast_with_their_cells(dark):
    percentages = np.arange(11) * 10
    counts = np.diag(percentages) + np.diag(100 - percentages[:-1], 1)
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
            column, row = (round(coordinate) for coordinate in text.get_position())
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


def test_percentages_say_0_or_100_only_if_exact():
    assert [_percent(fraction) for fraction in (0, 0.001, 0.5, 0.999, 1)] == [
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


def test_importing_is_cheap_and_plotting_keeps_global_state():
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
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
