"""Making probabilities honest: scale a network's logits so that they fit classes it was not trained on.

Temperature scaling (Guo et al. 2017): softmax(logits / T); one number, cannot change which class is the
most probable. Vector scaling adds a bias per class. Fitting needs held-out logits; it never sees images.
"""

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax along the last axis, float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    e = np.exp(shifted)
    return e / e.sum(axis=-1, keepdims=True)


def shift_prior(p: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) calibrated for other class shares: `ratio` (k,) is the new share over the old one.

    Saerens, Latinne & Decaestecker (2002, Neural Computation 14, 21), equation 2.4.
    """
    shifted = p * ratio
    return shifted / shifted.sum(axis=1, keepdims=True)


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Weighted mean of -ln softmax(logits)[label], computed without under- or overflow."""
    z = np.asarray(logits, dtype=np.float64)
    top = z.max(axis=1)
    log_sum = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return float(np.average(log_sum - z[np.arange(len(z)), labels], weights=weights))


def fit_temperature(
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    limits: tuple[float, float] = (0.1, 10.0),
) -> float:
    """The temperature T in `limits` that maximises the likelihood of held-out `labels` (n,) under
    softmax(logits / T).

    The negative log-likelihood is convex in 1/T, so a bounded one-dimensional search finds the only minimum.
    """
    from scipy.optimize import minimize_scalar

    result = minimize_scalar(
        lambda inverse: negative_log_likelihood(np.asarray(logits) * inverse, labels, weights),
        bounds=(1.0 / limits[1], 1.0 / limits[0]),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(1.0 / result.x)


def fit_vector(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, ridge: float = 1e-2
) -> tuple[float, np.ndarray]:
    """Temperature T and biases b (k,), sum 0, for softmax(logits / T + b); `ridge` pulls b to 0 when data
    are few.
    """
    from scipy.optimize import minimize

    z = np.asarray(logits, dtype=np.float64)
    k = z.shape[1]

    def loss(parameters: np.ndarray) -> float:
        bias = parameters[1:] - parameters[1:].mean()
        return negative_log_likelihood(z * np.exp(parameters[0]) + bias, labels, weights) + ridge * float(bias @ bias)

    result = minimize(loss, np.zeros(k + 1), method="L-BFGS-B", bounds=[(-2.3, 2.3)] + [(-5, 5)] * k)
    bias = result.x[1:] - result.x[1:].mean()
    return float(np.exp(-result.x[0])), bias
