import numpy as np
import pytest

from benchmarks import baselines


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1.0, 2.0, 3.1], r"deviates by 3\.3e-02"),
        ([1.0, 2.0, np.nan], "deviates by nan"),
        ([1.0, 2.0], r"expected shape \(3,\), found \(2,\)"),
    ],
)
def test_a_wrong_baseline_is_rejected(capsys, result, message):
    baselines.check_agreement("right", [1.0, 2.0, 3.0001], [1.0, 2.0, 3.0], 1e-3)
    with pytest.raises(baselines.BaselineError, match=message):
        baselines.check_agreement("planted", result, [1.0, 2.0, 3.0], 1e-3)
    for _ in range(2):
        with baselines.skip_unavailable():
            baselines.check_agreement(f"planted {message}", result, [1.0, 2.0, 3.0], 1e-3)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("baseline skipped: planted")


def test_an_unavailable_baseline_is_skipped(capsys):
    with baselines.skip_unavailable():
        baselines.import_module("no_such_library", "No Such Library")
    with baselines.skip_unavailable(), baselines.wrap_errors("its compiler"):
        raise ZeroDivisionError("division\nof no interest")
    assert capsys.readouterr().err.splitlines() == [
        "baseline skipped: No Such Library cannot be imported: No module named 'no_such_library'",
        "baseline skipped: its compiler: division",
    ]
