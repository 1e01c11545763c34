"""The classical classifiers by name, and the choice of their hyper-parameters.

scikit-learn and SciPy are imported where they are used, so that importing the library stays quick.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serjax import losses, metrics
from serjax.classical.rda import RegularizedDiscriminantAnalysis
from serjax.errors import InputError, unknown_name

Model = Callable[[np.ndarray], np.ndarray]
"""Descriptors `[examples, d]` to scores or probabilities `[examples, classes]`."""

# The mildest values come first: they are kept where others are no better.
_GRIDS: dict[str, Mapping[str, Sequence[Any]]] = {
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
        hyperparameters: Those that were chosen.
        validation_ua: UA of the validation part with them, in [0, 1].
        probabilities: Descriptors `[examples, d]` -> probabilities `[examples, classes]`.
    """

    name: str
    hyperparameters: dict[str, Any]
    validation_ua: float
    probabilities: Model


def choose(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    validation: Callable[[Model], np.ndarray],
    validation_labels: np.ndarray,
    num_classes: int,
    **fixed: Any,
) -> Classifier:
    """Fits with every combination of hyper-parameters and keeps the best on the validation part.

    Descriptors are standardized by mean and standard deviation of the training part. The best has
    the highest UA on the validation part, of equal ones the first. The scores of `svm`, which are
    no probabilities, are made so by a softmax, whose one scale minimizes the cross-entropy of the
    validation part (temperature scaling: Guo et al., On calibration of modern neural networks,
    ICML 2017); the others' probabilities are their own.

    Args:
        name: One of `names()`.
        x: float `[examples, d]`, descriptors of the training part.
        y: Integers `[examples]`, its classes; every class occurs.
        validation: Gives the probabilities of the validation part's utterances `[utterances,
            classes]`, when called with a function from descriptors to probabilities.
        validation_labels: Integers `[utterances]`.
        num_classes: Number of classes.
        **fixed: Hyper-parameters that are not to be chosen.

    Raises:
        InputError: There is no such model or hyper-parameter, or none of its values works.
    """
    if name not in _GRIDS:
        raise InputError(unknown_name("classical model", name, names()))
    for option in fixed:
        if option not in _GRIDS[name]:
            raise InputError(unknown_name(f"option of {name}", option, _GRIDS[name]))
    grid = {option: [fixed[option]] if option in fixed else v for option, v in _GRIDS[name].items()}
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    chosen: tuple[dict[str, Any], float, Model] | None = None
    refused: Exception | None = None
    for values in itertools.product(*grid.values()):
        hyperparameters = dict(zip(grid, values, strict=True))
        try:
            model = _of_raw(_fitted(name, (x - mean) / scale, y, hyperparameters), mean, scale)
            answers = validation(model).argmax(axis=-1)
        except (TypeError, ValueError) as error:  # such as more neighbours than examples
            refused = error
            continue
        confusion = np.zeros((num_classes, num_classes))
        np.add.at(confusion, (validation_labels, answers), 1)
        ua = float(metrics.unweighted_accuracy(confusion))
        if chosen is None or ua > chosen[1]:
            chosen = hyperparameters, ua, model
    if chosen is None:
        raise InputError(f"{name} {grid}: no values can be fitted; {refused}")
    hyperparameters, ua, model = chosen
    if name == "svm":
        model = _calibrated(model, validation, validation_labels)
    return Classifier(name, hyperparameters, ua, model)


def _of_raw(model: Model, mean: np.ndarray, scale: np.ndarray) -> Model:
    """A model of standardized descriptors as one of descriptors."""
    return lambda descriptors: model((descriptors - mean) / scale)


def _fitted(name: str, x: np.ndarray, y: np.ndarray, hyperparameters: Mapping[str, Any]) -> Model:
    """Probabilities of classes, or an SVM's decision values."""
    if name == "rda":
        return RegularizedDiscriminantAnalysis(**hyperparameters).fit(x, y).predict_proba
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
        # Of two classes scikit-learn gives the second one's value alone.
        return np.stack([-values, values], axis=-1) if values.ndim == 1 else values

    return decision


def _calibrated(
    scores: Model, validation: Callable[[Model], np.ndarray], labels: np.ndarray
) -> Model:
    """Scores turned into probabilities."""
    from scipy import optimize, special

    def scaled(log_scale: float) -> Model:
        return lambda x: special.softmax(np.exp(log_scale) * scores(x), axis=-1)

    def loss(log_scale: float) -> float:
        return float(losses.negative_log_likelihood(validation(scaled(log_scale)), labels).mean())

    return scaled(optimize.minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)
