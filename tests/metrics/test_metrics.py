"""Metrics against scikit-learn; bootstrap intervals against the binomial distribution."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from serjax import metrics
from tests.helpers.type_checks import without_type_checks

DERIVED = [
    metrics.weighted_accuracy,
    metrics.unweighted_accuracy,
    metrics.f1_macro,
    metrics.f1_weighted,
    metrics.f1,
    metrics.precision,
    metrics.recall,
]


@st.composite
def labelled(draw):
    """Generates labels of a subset of the classes, so that some are often absent, and a mask."""
    # Few shapes, because each is compiled; the mask varies the number of utterances.
    num_classes = draw(st.sampled_from([2, 5, 9]))
    present = draw(st.lists(st.integers(0, num_classes - 1), min_size=1, max_size=num_classes))
    size = 48
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    true = generator.choice(present, size)
    predicted = np.where(
        generator.random(size) < 0.5, true, generator.integers(0, num_classes, size)
    )
    mask = generator.random(size) < draw(st.floats(0, 1))
    mask[0] = True
    return num_classes, true, predicted, mask


def by_sklearn(true, predicted, num_classes):
    labels = list(range(num_classes))
    with warnings.catch_warnings():
        # scikit-learn warns of predicted classes that are absent from the true ones, as here.
        warnings.simplefilter("ignore")
        per_class = sklearn.metrics.precision_recall_fscore_support(
            true, predicted, labels=labels, zero_division=0
        )
        return {
            "confusion": sklearn.metrics.confusion_matrix(true, predicted, labels=labels),
            "weighted_accuracy": sklearn.metrics.accuracy_score(true, predicted),
            "unweighted_accuracy": sklearn.metrics.balanced_accuracy_score(true, predicted),
            "f1_macro": sklearn.metrics.f1_score(true, predicted, average="macro", zero_division=0),
            "f1_weighted": sklearn.metrics.f1_score(
                true, predicted, average="weighted", zero_division=0
            ),
            "precision": per_class[0],
            "recall": per_class[1],
            "f1": per_class[2],
        }


@given(labelled())
def test_equal_to_scikit_learn_eager_and_jitted(case):
    num_classes, true, predicted, mask = case
    expected = by_sklearn(true[mask], predicted[mask], num_classes)
    for build in (
        metrics.confusion_matrix,
        jax.jit(metrics.confusion_matrix, static_argnames="num_classes"),
    ):
        confusion = build(true, predicted, num_classes, mask)
        np.testing.assert_array_equal(confusion, expected["confusion"])
    for metric in DERIVED:
        value = expected[metric.__name__]
        np.testing.assert_allclose(metric(np.asarray(expected["confusion"])), value, atol=1e-12)
        np.testing.assert_allclose(metric(confusion), value, atol=1e-6)
        np.testing.assert_allclose(jax.jit(metric)(confusion), value, atol=1e-6)


@given(labelled(), st.sampled_from([1, 7]))
def test_matrices_of_padded_batches_add_up_to_the_whole(case, batch_size):
    num_classes, true, predicted, _ = case
    total = jnp.zeros((num_classes, num_classes))
    for start in range(0, len(true), batch_size):
        batch = slice(start, start + batch_size)
        padding = (0, batch_size - len(true[batch]))
        total += metrics.confusion_matrix(
            np.pad(true[batch], padding),
            np.pad(predicted[batch], padding, constant_values=-1),
            num_classes,
            np.pad(np.ones(len(true[batch])), padding),
        )
    np.testing.assert_array_equal(
        total, sklearn.metrics.confusion_matrix(true, predicted, labels=range(num_classes))
    )


@pytest.mark.parametrize("label", [jnp.int32, jnp.uint8, jnp.int8])
def test_labels_of_any_shape_and_integer_type(label):
    true = jnp.array([[0, 1], [1, 2]], label)
    confusion = metrics.confusion_matrix(true, jnp.array([[0, 2], [1, 2]], label), 300)
    assert confusion.dtype == jnp.float32
    assert confusion.sum() == 4
    np.testing.assert_array_equal(confusion[:3, :3], [[1, 0, 0], [0, 1, 1], [0, 0, 1]])


@pytest.mark.parametrize("weight", [jnp.float32, jnp.bfloat16, jnp.bool_])
def test_weights_of_each_type(weight):
    labels = jnp.array([0, 1, 1])
    confusion = metrics.confusion_matrix(labels, labels, 2, jnp.array([1, 0, 1], weight))
    np.testing.assert_array_equal(confusion, [[1, 0], [0, 1]])


def test_fractional_weights_are_not_rounded():
    weights = np.float32([0.1, 0.7001])
    confusion = metrics.confusion_matrix(np.array([0, 1]), np.array([0, 0]), 2, weights)
    np.testing.assert_array_equal(confusion[:, 0], weights)


def test_labels_out_of_range_are_not_counted():
    confusion = metrics.confusion_matrix(jnp.array([-1, 3, 0, 0]), jnp.array([0, 0, -1, 3]), 3)
    assert not confusion.any()


@pytest.mark.parametrize("metric", DERIVED)
def test_batch_axes_and_vmap(metric):
    generator = np.random.default_rng(0)
    stack = generator.integers(0, 9, (2, 5, 4, 4))
    one_by_one = np.stack([[metric(matrix) for matrix in row] for row in stack])
    np.testing.assert_allclose(metric(stack), one_by_one)
    np.testing.assert_allclose(metric(jnp.asarray(stack)), one_by_one, rtol=1e-6)
    np.testing.assert_allclose(
        jax.vmap(jax.vmap(metric))(jnp.asarray(stack)), one_by_one, rtol=1e-6
    )


@pytest.mark.parametrize("metric", DERIVED)
@pytest.mark.parametrize("library", [np, jnp])
def test_an_empty_matrix_gives_zero_in_its_own_library(metric, library):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = metric(library.zeros((3, 3)))
    assert not np.any(value)
    assert isinstance(value, jax.Array) == (library is jnp)


@without_type_checks()
def test_metrics_take_nested_lists():
    assert metrics.weighted_accuracy([[3, 1], [0, 4]]) == 7 / 8


def test_a_second_batch_does_not_compile_again():
    traces = 0

    @jax.jit
    def step(true, predicted):
        nonlocal traces
        traces += 1
        return metrics.unweighted_accuracy(metrics.confusion_matrix(true, predicted, 3))

    step(jnp.array([0, 1]), jnp.array([1, 1]))
    step(jnp.array([2, 1]), jnp.array([2, 0]))
    assert traces == 1


@without_type_checks()
def test_shapes_and_types_are_checked():
    with pytest.raises(ValueError, match=r"\(2,\), \(3,\)"):
        metrics.confusion_matrix(jnp.zeros(2, int), jnp.zeros(3, int), 2)
    with pytest.raises(ValueError, match=r"and \(1,\)"):
        metrics.confusion_matrix(jnp.zeros(2, int), jnp.zeros(2, int), 2, jnp.ones(1))
    with pytest.raises(TypeError, match="predicted must hold integer classes, got float32"):
        metrics.confusion_matrix(jnp.zeros(2, int), jnp.zeros(2), 2)


def two_class_labels(correct, wrong):
    """Makes true and predicted labels with a number of correct and wrong predictions."""
    true = np.arange(correct + wrong) % 2
    return true, np.where(np.arange(correct + wrong) < correct, true, 1 - true)


@pytest.mark.parametrize(("correct", "wrong"), [(70, 30), (180, 20), (300, 300)])
def test_bootstrap_of_wa_equals_the_binomial_interval(correct, wrong):
    size = correct + wrong
    interval = metrics.bootstrap(*two_class_labels(correct, wrong), 2, resamples=20_000)["wa"]
    assert interval.value == correct / size
    # Resampling utterances makes the number of correct ones exactly binomial.
    exact = stats.binom.ppf([0.025, 0.975], size, correct / size) / size
    np.testing.assert_allclose(interval[1:], exact, atol=1.01 / size)
    wilson = stats.binomtest(correct, size).proportion_ci(method="wilson")
    np.testing.assert_allclose(interval[1:], wilson, atol=0.02)


def test_bootstrap_coverage_equals_its_level():
    generator = np.random.default_rng(1)
    recall = np.array([0.8, 0.6, 0.7])
    covering = {"wa": 0, "ua": 0}
    trials = 400
    for trial in range(trials):
        true = np.repeat(np.arange(3), 60)
        predicted = np.where(generator.random(180) < recall[true], true, (true + 1) % 3)
        intervals = metrics.bootstrap(true, predicted, 3, resamples=400, seed=trial)
        for name in covering:
            covering[name] += intervals[name].low <= recall.mean() <= intervals[name].high
    for name, count in covering.items():
        # Four standard errors of a fraction of 0.95 in 400 trials are 0.044.
        assert 0.905 < count / trials < 0.99, name


def test_bootstrap_samples_whole_groups():
    true, predicted = two_class_labels(35, 15)
    expected = metrics.bootstrap(true, predicted, 2, resamples=20_000)
    # Ten copies of an utterance have the information of one.
    copies = [np.repeat(labels, 10) for labels in (true, predicted)]
    speakers = np.repeat([f"speaker {i}" for i in range(50)], 10)
    grouped = metrics.bootstrap(*copies, 2, groups=speakers, resamples=20_000)
    ungrouped = metrics.bootstrap(*copies, 2, resamples=20_000)
    for name in metrics.METRICS:
        np.testing.assert_allclose(grouped[name], expected[name], atol=0.02)
        widths = [result[name].high - result[name].low for result in (grouped, ungrouped)]
        assert widths[0] / widths[1] == pytest.approx(np.sqrt(10), rel=0.1)


def test_bootstrap_values_equal_scikit_learn_and_lie_in_their_intervals():
    generator = np.random.default_rng(3)
    true, predicted = generator.integers(0, 5, (2, 200))
    intervals = metrics.bootstrap(true, predicted, 6)
    expected = by_sklearn(true, predicted, 6)
    for name, key in (
        ("wa", "weighted_accuracy"),
        ("ua", "unweighted_accuracy"),
        ("f1_macro", "f1_macro"),
        ("f1_weighted", "f1_weighted"),
    ):
        value, low, high = intervals[name]
        assert value == pytest.approx(expected[key])
        assert 0 <= low <= value <= high <= 1


def test_bootstrap_depends_on_its_seed_and_widens_with_its_level():
    case = two_class_labels(30, 20)
    assert metrics.bootstrap(*case, 2, seed=5) == metrics.bootstrap(*case, 2, seed=5)
    assert metrics.bootstrap(*case, 2, seed=5) != metrics.bootstrap(*case, 2, seed=6)
    narrow, wide = (metrics.bootstrap(*case, 2, level=level)["wa"] for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_bootstrap_of_perfect_predictions_is_a_point():
    assert metrics.bootstrap([0, 1, 1], [0, 1, 1], 2)["ua"] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], 2), r"at least one utterance, got shapes \(0,\)"),
        (([0, 1], [0], 2), r"\(2,\) and \(1,\)"),
        (([0, 2], [0, 1], 2), r"true must be in \[0, 2\), got 0 to 2"),
        (([0, 1], [0, -1], 2), r"predicted must be in \[0, 2\), got -1 to 0"),
    ],
)
def test_bootstrap_checks_labels(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.bootstrap(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["a", "a"]}, "at least 2 of them, got only .*'a'"),
        ({"groups": ["a"]}, r"groups must be \(2,\) like true, got \(1,\)"),
        ({"resamples": 0}, "got 0 and 0.95"),
        ({"level": 95}, "got 2000 and 95"),
    ],
)
@without_type_checks()
def test_bootstrap_checks_options(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.bootstrap([0, 1], [0, 1], 2, **options)
