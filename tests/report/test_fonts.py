"""Names in figures: scripts without a glyph, control characters, names that are no text."""

import os
import warnings

import numpy as np
import pytest
from matplotlib import font_manager, rcParams

from serjax import report
from serjax.report.plots import fonts
from serjax.report.plots.drawing import LIGHT, png, styled
from serjax.report.plots.fonts import drawable, font_note
from tests.helpers.run_folders import pixels

NAMES = {
    "Latin": "colère",
    "Greek": "θυμός",
    "Chinese": "愤怒",
    "Devanagari": "क्रोध",
    "Thai": "โกรธ",
    "emoji": "\U0001f600",
    "newline": "an\nger",
    "control": "\x1b[31mred\x07",
    "no UTF-8": os.fsdecode(b"col\xe8re"),
    "direction": "\u202eabc",
    "private": "\ue000",
    "markup": "$x^2$ <b>[red]",
}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_figures_with_any_name(tmp_path):
    names = [*NAMES.values()]
    paths = [tmp_path / "confusion.png", tmp_path / "confusion.pdf"]
    figure = report.plot_confusion(np.eye(len(names)), names, paths)
    assert pixels(paths[0].read_bytes())
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    with styled(LIGHT):
        assert labels == drawable(names)
    assert all(label.isprintable() for label in labels)
    images = np.zeros((3, 4, 4))
    titles = [NAMES["Chinese"], NAMES["control"], NAMES["no UTF-8"]]
    assert pixels(png(report.plot_reconstructions(images, images, titles, 1.0, 8000)))
    embedding = np.zeros((2, 2, 4))
    assert pixels(png(report.plot_embedding(images[0], embedding, 1.0, 8000, title=titles[0])))


def test_characters_of_no_font_are_escaped_and_noted(monkeypatch):
    own = [each for each in font_manager.fontManager.ttflist if each.name == fonts.FAMILY]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    fonts._fonts.cache_clear()
    names = ["愤怒", "colère", "x"]
    with styled(LIGHT):
        assert drawable(names) == [r"\u6124\u6012", "colère", "x"]
    note = font_note(names)
    assert note.startswith("figures show 2 characters by their numbers")
    assert "怒 愤" in note
    fonts._fonts.cache_clear()
    assert font_note(["colère", "θυμός", "an\nger"]) is None


def test_control_characters_are_escaped():
    with styled(LIGHT):
        shown = drawable(["a\nb\x1b", os.fsdecode(b"\xe8"), "\u202e", "joy\u200dful"])
    assert shown == [r"a\nb\x1b", r"\udce8", r"\u202e", "joy\u200dful"]


def test_an_installed_font_is_used_and_settings_are_restored(monkeypatch):
    # The fonts of this machine differ: one that has the characters stands for Noto Sans CJK.
    monkeypatch.setattr(
        fonts,
        "_available",
        lambda path, characters: (
            (characters if "STIXGeneral" in path else characters - {"愤", "怒"}) - {"\ue000"}
        ),
    )
    fonts._fonts.cache_clear()
    with styled(LIGHT):
        assert drawable(["愤怒", "\u00e8"]) == ["愤怒", "\u00e8"]
        assert rcParams["font.family"] == ["DejaVu Sans", "STIXGeneral"]
    fonts._fonts.cache_clear()
    assert rcParams["font.family"] != ["DejaVu Sans", "STIXGeneral"]


def test_damaged_fonts_are_passed_over(tmp_path):
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    for name in ("damaged.ttf", "nowhere.ttf"):
        assert fonts._available(str(tmp_path / name), frozenset("é")) == frozenset()
