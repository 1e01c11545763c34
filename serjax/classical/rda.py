"""Regularized discriminant analysis."""

import numpy as np

# scikit-learn's discriminant analyses shrink covariances but do not pool them.
_FLOOR = 1e-10


class RegularizedDiscriminantAnalysis:
    """Classifier of Gaussian classes with covariances shrunk to a common one and to a sphere.

    With the scatter S_k and number n_k of each class, and the totals S and n, equations 16 and 18
    of the paper are

        C_k = ((1 - pooling) S_k + pooling S) / ((1 - pooling) n_k + pooling n)
        covariance_k = (1 - shrinkage) C_k + shrinkage trace(C_k) / d I

    (pooling is the paper's lambda, shrinkage its gamma). Pooling 0 is quadratic discriminant
    analysis, pooling 1 linear discriminant analysis, and shrinkage 1 the nearest mean by distances
    scaled per class.

    Source: Friedman (1989), Regularized discriminant analysis, JASA 84.

    Args:
        pooling: Weight of the common covariance, in [0, 1].
        shrinkage: Weight of the spherical covariance, in [0, 1].

    Attributes:
        classes_: Sorted labels, set by `fit`.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, pooling: float = 0.5, shrinkage: float = 0.1) -> None:
        for name, value in (("pooling", pooling), ("shrinkage", shrinkage)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], found {value}")
        self.pooling = pooling
        self.shrinkage = shrinkage

    def fit(self, x: np.ndarray, y: np.ndarray) -> "RegularizedDiscriminantAnalysis":
        """Estimates the means, covariances and priors of the classes.

        Args:
            x: Descriptors `[examples, d]`.
            y: Labels `[examples]`.

        Returns:
            This classifier.
        """
        x = np.asarray(x, np.float64)
        self.classes_, of_class = np.unique(y, return_inverse=True)
        count = np.bincount(of_class).astype(np.float64)
        self._means = np.stack([x[of_class == k].mean(axis=0) for k in range(len(count))])
        centred = x - self._means[of_class]
        scatter = np.stack(
            [centred[of_class == k].T @ centred[of_class == k] for k in range(len(count))]
        )
        weight = (1 - self.pooling) * count + self.pooling * len(x)
        pooled = (1 - self.pooling) * scatter + self.pooling * scatter.sum(axis=0)
        covariance = pooled / weight[:, None, None]
        variances, self._axes = np.linalg.eigh(covariance)
        mean_variance = variances.mean(axis=1, keepdims=True)
        shrunk = (1 - self.shrinkage) * variances + self.shrinkage * mean_variance
        # A direction without variance would make every distance infinite.
        self._variances = np.maximum(shrunk, _FLOOR * np.maximum(mean_variance, _FLOOR))
        self._log_priors = np.log(count / len(x))
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Posterior probabilities.

        Args:
            x: Descriptors `[examples, d]`.

        Returns:
            float64 `[examples, classes]`, columns in the order of `classes_`.
        """
        offsets = np.asarray(x, np.float64)[None] - self._means[:, None]
        whitened = (offsets @ self._axes) ** 2 / self._variances[:, None]
        log_determinant = np.log(self._variances).sum(axis=-1)
        scores = self._log_priors[:, None] - 0.5 * (
            whitened.sum(axis=-1) + log_determinant[:, None]
        )
        scores = np.exp(scores - scores.max(axis=0))
        return (scores / scores.sum(axis=0)).T
