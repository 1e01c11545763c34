import types

import numpy as np
import pytest

from benchmarks import tables
from benchmarks.measure import ratio_columns


def format_cell(row, column, title):
    (cell,) = tables.cells(types.SimpleNamespace(COLUMNS={column: title}), row)
    return cell


def test_an_interval_that_spans_1_is_a_tie():
    tie = ratio_columns("time_vs_real", np.linspace(0.9, 1.2, 9))
    slower = ratio_columns("time_vs_real", np.linspace(1.01, 1.2, 9))
    itself = ratio_columns("time_vs_real", np.ones(9))
    assert format_cell(tie, "time_vs_real", "time") == "1.05 [0.94, 1.16] tie"
    assert "tie" not in format_cell(slower, "time_vs_real", "time")
    assert format_cell(itself, "time_vs_real", "time") == "1"


@pytest.mark.parametrize(
    ("value", "title", "text"),
    [
        (1234.5, "ms", "1,234"),
        (0.09876, "ms", "0.0988"),
        (20.0, "MiB", "20.0"),
        (0.0, "ms", "0"),
        (0.1234, "% of peak", "12.3"),
        (1_000_000, "parameters", "1,000,000"),
        (None, "ms", ""),
    ],
)
def test_numbers_have_three_significant_digits(value, title, text):
    assert format_cell({"x": value}, "x", title) == text


def test_text_columns_are_those_with_a_string():
    suite = types.SimpleNamespace(COLUMNS={"a": "what", "b": "ms", "c": "form"})
    rows = [{"a": "conv", "b": 1.0, "c": None}, {"a": "dense", "b": None, "c": "block"}]
    assert tables.text_columns(suite, rows) == ["what", "form"]
