"""Paired tests against SciPy, exact enumeration, and their level for equal classifiers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from serjax import metrics, significance
from tests.helpers.type_checks import without_type_checks

labels = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=40)


@given(labels)
def test_mcnemar_equals_the_sum_of_binomial_terms(rows):
    true, first, second = np.array(rows).T
    b = int(np.sum((first == true) & (second != true)))
    c = int(np.sum((first != true) & (second == true)))
    # Edwards (1948): both tails of a fair coin tossed b + c times.
    tail = sum(stats.binom.pmf(k, b + c, 0.5) for k in range(min(b, c) + 1))
    assert significance.mcnemar(true, first, second) == pytest.approx(min(1.0, 2 * tail))
    assert significance.mcnemar(true, second, first) == significance.mcnemar(true, first, second)


def test_mcnemar_of_a_textbook_table():
    # 59 against 16 discordant pairs: p of R's exact2x2::mcnemar.exact and of SciPy's binomtest.
    true = np.zeros(100, int)
    first = np.repeat([0, 1, 0], [59, 16, 25])
    second = np.repeat([1, 0, 0], [59, 16, 25])
    assert significance.mcnemar(true, first, second) == pytest.approx(
        2 * stats.binom.cdf(16, 75, 0.5)
    )


def test_mcnemar_of_equal_predictions_is_one():
    assert significance.mcnemar([0, 1], [0, 0], [0, 0]) == 1.0
    with pytest.raises(ValueError, match=r"\(2,\), \(1,\) and \(2,\)"):
        significance.mcnemar([0, 1], [0], [0, 0])


def test_differences_equal_those_of_the_metrics_and_change_sign():
    generator = np.random.default_rng(0)
    true, first, second = generator.integers(0, 4, (3, 200))
    forward = significance.paired_bootstrap(true, first, second, 5, resamples=500)
    backward = significance.paired_bootstrap(true, second, first, 5, resamples=500)
    assert set(forward) == set(metrics.METRICS)
    matrices = []
    for predicted in (first, second):
        matrix = np.zeros((5, 5))
        np.add.at(matrix, (true, predicted), 1)
        matrices.append(matrix)
    for name, (interval, p) in forward.items():
        metric = metrics.METRICS[name]
        assert interval.value == pytest.approx(metric(matrices[0]) - metric(matrices[1]))
        assert interval.low <= interval.value <= interval.high
        assert backward[name].interval.value == pytest.approx(-interval.value)
        assert (p < 0.05) == (not interval.low <= 0 <= interval.high)


def test_resampled_groups_equal_an_enumeration_of_all_samples():
    true = np.array([0, 0, 1, 1, 0, 1])
    first = np.array([0, 0, 1, 0, 0, 1])
    second = np.array([0, 1, 0, 0, 0, 1])
    speaker = np.array([0, 0, 1, 1, 2, 2])
    differences = []
    for groups in itertools.product(range(3), repeat=3):
        rows = np.concatenate([np.flatnonzero(speaker == group) for group in groups])
        differences.append(np.mean(first[rows] == true[rows]) - np.mean(second[rows] == true[rows]))
    result = significance.paired_bootstrap(
        true, first, second, 2, groups=speaker, resamples=20_000, level=0.6
    )["wa"]
    np.testing.assert_allclose(result.interval[1:], np.quantile(differences, [0.2, 0.8]), atol=1e-9)
    assert result.p == pytest.approx(2 * np.mean(np.array(differences) <= 0), abs=0.01)


def test_equally_accurate_classifiers_rarely_differ():
    generator = np.random.default_rng(2)
    rejected, trials = 0, 300
    for trial in range(trials):
        true = generator.integers(0, 3, 150)
        first, second = (
            np.where(generator.random(150) < 0.7, true, (true + 1) % 3) for _ in range(2)
        )
        results = significance.paired_bootstrap(true, first, second, 3, resamples=300, seed=trial)
        rejected += results["ua"].p < 0.05
    # Four standard errors of a fraction of 0.05 in 300 trials are 0.05.
    assert rejected / trials < 0.1


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0, 1], [0], [0, 1], 2), {}, r"true, first and second must .* \(2,\), \(1,\) and \(2,\)"),
        (([0, 1], [0, 1], [0, 2], 2), {}, r"second must be in \[0, 2\), got 0 to 2"),
        (([0, 1], [0, 1], [0, 1], 2), {"groups": ["a", "a"]}, "at least 2 of them"),
        (([0, 1], [0, 1], [0, 1], 2), {"resamples": 0}, "got 0 and 0.95"),
    ],
)
@without_type_checks()
def test_arguments_are_checked(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        significance.paired_bootstrap(*arguments, **options)
