"""The classical classifiers by name, and the selection of their hyper-parameters.

scikit-learn and SciPy are imported in the functions, so that importing the library stays fast.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serjax import losses, metrics
from serjax.classical.rda import RegularizedDiscriminantAnalysis
from serjax.errors import InputError, unknown_name

HyperparameterValue = float | str

Model = Callable[[np.ndarray], np.ndarray]
"""Function from descriptors `[examples, d]` to scores or probabilities `[examples, classes]`."""

# The first value of each list is the default, which ties select.
_GRIDS: dict[str, Mapping[str, Sequence[HyperparameterValue]]] = {
    "knn": {"n_neighbors": (5, 1, 3, 9, 15, 25), "weights": ("distance",)},
    "lda": {"shrinkage": (0.1, 0.0, 0.01, 0.03, 0.3, 0.6, 1.0)},
    "rda": {"pooling": (0.5, 0.0, 0.1, 0.9, 1.0), "shrinkage": (0.1, 0.01, 0.03, 0.3, 0.6)},
    "svm": {"C": (1.0, 0.1, 0.3, 3.0, 10.0, 100.0), "gamma": ("scale", 0.001, 0.003, 0.01, 0.03)},
}


def names() -> tuple[str, ...]:
    """Returns the names of the classical models, sorted."""
    return tuple(sorted(_GRIDS))


@dataclass(frozen=True, eq=False)
class Classifier:
    """A fitted classifier.

    Attributes:
        name: One of `names()`.
        hyperparameters: Selected hyper-parameters.
        validation_ua: Unweighted accuracy on the validation set, in [0, 1].
        probabilities: Function from descriptors `[examples, d]` to probabilities `[examples,
            classes]`.
    """

    name: str
    hyperparameters: dict[str, HyperparameterValue]
    validation_ua: float
    probabilities: Model


def choose(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    validation: Callable[[Model], np.ndarray],
    validation_labels: np.ndarray,
    num_classes: int,
    **fixed: HyperparameterValue,
) -> Classifier:
    """Fits a classifier with every combination of hyper-parameters and selects the best.

    Descriptors are standardized by the mean and standard deviation of the training set. The best
    classifier has the highest unweighted accuracy (UA) on the validation set; ties select the
    first. The scores of `svm` are converted to probabilities by a softmax with the temperature that
    minimizes the cross-entropy on the validation set (temperature scaling: Guo et al. (2017), On
    calibration of modern neural networks). The other classifiers give probabilities.

    Args:
        name: One of `names()`.
        x: Descriptors of the training set, float `[examples, d]`.
        y: Classes of the training set, integers `[examples]`; every class occurs.
        validation: Function that is called with a function from descriptors to probabilities, and
            returns the probabilities of the utterances of the validation set `[utterances,
            classes]`.
        validation_labels: Classes of the validation set, integers `[utterances]`.
        num_classes: Number of classes.
        **fixed: Hyper-parameters that are fixed instead of selected.

    Returns:
        The best classifier.

    Raises:
        InputError: The model or a hyper-parameter does not exist, or no combination can be fitted.
    """
    if name not in _GRIDS:
        raise InputError(unknown_name("classical model", name, names()))
    for option in fixed:
        if option not in _GRIDS[name]:
            raise InputError(unknown_name(f"option of {name}", option, _GRIDS[name]))
    grid = {option: [fixed[option]] if option in fixed else v for option, v in _GRIDS[name].items()}
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    best: tuple[dict[str, HyperparameterValue], float, Model] | None = None
    last_error: Exception | None = None
    # scikit-learn's grid search scores examples, not the mean of an utterance's segments.
    for values in itertools.product(*grid.values()):
        hyperparameters = dict(zip(grid, values, strict=True))
        try:
            model = _of_raw_descriptors(
                _fit(name, (x - mean) / scale, y, hyperparameters), mean, scale
            )
            predictions = validation(model).argmax(axis=-1)
        except (TypeError, ValueError) as error:  # such as more neighbours than examples
            last_error = error
            continue
        confusion = np.zeros((num_classes, num_classes))
        np.add.at(confusion, (validation_labels, predictions), 1)
        ua = float(metrics.unweighted_accuracy(confusion))
        if best is None or ua > best[1]:
            best = hyperparameters, ua, model
    if best is None:
        raise InputError(f"{name} {grid}: no values can be fitted; {last_error}")
    hyperparameters, ua, model = best
    if name == "svm":
        model = _calibrate(model, validation, validation_labels)
    return Classifier(name, hyperparameters, ua, model)


def _of_raw_descriptors(model: Model, mean: np.ndarray, scale: np.ndarray) -> Model:
    """Returns a model that standardizes descriptors before another model."""
    return lambda descriptors: model((descriptors - mean) / scale)


def _fit(
    name: str, x: np.ndarray, y: np.ndarray, hyperparameters: Mapping[str, HyperparameterValue]
) -> Model:
    """Fits a model of probabilities, or of the decision values of an SVM."""
    if name == "rda":
        options = {option: float(value) for option, value in hyperparameters.items()}
        return RegularizedDiscriminantAnalysis(**options).fit(x, y).predict_proba
    if name == "knn":
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(**hyperparameters).fit(x, y).predict_proba
    if name == "lda":
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        return LinearDiscriminantAnalysis(solver="lsqr", **hyperparameters).fit(x, y).predict_proba
    from sklearn.svm import SVC

    machine = SVC(class_weight="balanced", **hyperparameters).fit(x, y)

    def decision(descriptors: np.ndarray) -> np.ndarray:
        values = machine.decision_function(descriptors)
        # For two classes, scikit-learn returns only the value of the second one.
        return np.stack([-values, values], axis=-1) if values.ndim == 1 else values

    return decision


def _calibrate(
    scores: Model, validation: Callable[[Model], np.ndarray], labels: np.ndarray
) -> Model:
    """Returns a model that converts scores to probabilities by temperature scaling."""
    from scipy import optimize, special

    def scaled(log_scale: float) -> Model:
        return lambda x: special.softmax(np.exp(log_scale) * scores(x), axis=-1)

    def loss(log_scale: float) -> float:
        return float(losses.negative_log_likelihood(validation(scaled(log_scale)), labels).mean())

    return scaled(optimize.minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)
