"""Softmax regression: a linear classifier with probabilities, fitted in seconds. Numpy and SciPy only."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

# A column that hardly varies in training must not decide anything: it is divided by at least this.
_SMALLEST_DEVIATION = 0.02


@dataclass(frozen=True)
class SoftmaxRegression:
    """log p = log softmax(((x - mean) / deviation) @ weight + bias); weight is (F, C)."""

    mean: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, classes: np.ndarray, count: int, ridge: float = 0.01) -> "SoftmaxRegression":
        """Fit to (N, F) rows and their (N,) class numbers below `count`; `ridge` weighs the squared weights.

        The loss has one minimum, so the same rows give the same classifier, whatever the seed.
        """
        mean, deviation = rows.mean(0), rows.std(0) + _SMALLEST_DEVIATION
        scaled = ((rows - mean) / deviation).astype(np.float32)
        wanted = np.eye(count, dtype=np.float32)[classes]

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weight, bias = flat[:-count].reshape(-1, count), flat[-count:]
            log_probs = _log_softmax(scaled @ weight.astype(np.float32) + bias)
            error = (np.exp(log_probs) - wanted).astype(np.float32) / len(rows)
            value = -float((log_probs * wanted).sum()) / len(rows) + ridge * float((weight**2).sum())
            slope = np.concatenate([(scaled.T @ error + 2 * ridge * weight).ravel(), error.sum(0)])
            return value, slope.astype(np.float64)

        start = np.zeros((rows.shape[1] + 1) * count)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-6}).x
        return cls(mean, deviation, found[:-count].reshape(-1, count).astype(np.float32), found[-count:])

    def log_probs(self, rows: np.ndarray) -> np.ndarray:
        """(N, C) natural logarithms of the probabilities of the classes."""
        return _log_softmax(((rows - self.mean) / self.deviation) @ self.weight + self.bias)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    scores = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))
