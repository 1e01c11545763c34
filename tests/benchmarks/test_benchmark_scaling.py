import numpy as np
import pytest

from benchmarks import scaling
from benchmarks.settings import Settings


def test_exponents_are_those_of_known_powers():
    sizes = np.array([2.0, 8.0, 16.0])
    seconds = np.stack([0.3 * sizes**2, 5 / sizes, np.full(3, 7.0)], axis=1)
    np.testing.assert_allclose(scaling.exponents(sizes, seconds), [2, -1, 0], atol=1e-12)
    # Points that are not on a line are compared with NumPy's least squares.
    noisy = np.random.default_rng(0).uniform(1, 2, (3, 4))
    fitted = scaling.exponents(sizes, noisy)
    np.testing.assert_allclose(fitted, np.polyfit(np.log(sizes), np.log(noisy), 1)[0])


def test_scaling_is_plotted_in_a_panel_for_each_variable():
    rows = [
        row
        for variable, expected in (("batch", 1.0), ("channels", 2.0))
        for row in scaling._rows(
            variable,
            "synthetic",
            expected,
            {
                size: {"seconds": [size**expected, 1.1 * size**expected], "operations": 3e9}
                for size in (2, 4, 8)
            },
        )
    ]
    assert [row["size"] for row in rows] == ["2", "4", "8"] * 2
    assert {row["gflop"] for row in rows} == {3}
    assert all(row["exponent"] == pytest.approx(row["expected"]) for row in rows)
    figure = scaling.FIGURE.draw(rows, dark=False)
    assert [axes.get_xlabel() for axes in figure.axes] == ["batch", "channels"]
    for axes in figure.axes:
        fitted, expected = axes.get_legend_handles_labels()[1][-2:]
        assert fitted.split() == ["fitted", expected.split()[1]]
    assert scaling.FIGURE.draw([], dark=True) is None


@pytest.mark.slow
def test_scaling_is_measured(command, standard_promotion):
    steps = {size: scaling._step("dscnn", "float32", batch=size, utterances=4) for size in (1, 8)}
    small, large = scaling._time_steps(steps, 2).values()
    assert large["operations"] / small["operations"] == pytest.approx(8, rel=0.2)
    assert np.median(large["seconds"]) > np.median(small["seconds"])
    rows = scaling._measure_devices(Settings(1, "float32"))
    assert [row["size"] for row in rows] == ["1", "2", "4"]
    assert {row["variable"] for row in rows} == {"virtual devices"}
    # The batch is the same; each device makes Adam's update, some 20 operations of 4.5 M
    # parameters.
    assert [row["gflop"] for row in rows] == pytest.approx([rows[0]["gflop"]] * 3, rel=0.1)
