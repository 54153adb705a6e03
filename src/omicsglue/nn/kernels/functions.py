"""Exponential, logarithm and gamma functions, as kernels need them.

Exponential and logarithm are the usual range reductions with minimax polynomials in single precision
(coefficients of Moshier's Cephes library, relative error under 2e-7), written out so that the compiler turns
loops over them into vector instructions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from omicsglue.compiling import INT, F, compiled

_SMALL = 16  # up to here, differences of gamma functions are products
_LARGE = 8.0  # from here on, Stirling's series is exact to double precision


def _exp(x: Any) -> Any:
    """Return e^x of a float32 up to 88.3; under -87.3 it is that of -87.3, 1.2e-38."""
    x = max(x, F(-87.3))
    n = np.floor(x * F(1.44269504) + F(0.5))
    r = x - n * F(0.693359375) + n * F(2.12194440e-4)
    p = F(1.9875691500e-4) * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    p = p * r * r + r + F(1)
    return p * INT((INT(n) + INT(127)) << INT(23)).view(F)


def _log(x: Any) -> Any:
    """Return the natural logarithm of a positive, normal float32."""
    bits = F(x).view(INT)
    exponent = (bits - INT(0x3F3504F3)) >> INT(23)
    m = INT(bits - (exponent << INT(23))).view(F) - F(1)
    return log_of_parts(exponent, m)


def _log1p(y: Any) -> Any:
    """Return log(1 + y) of a float32 that is not negative; exact also where y is small."""
    bits = F(F(1) + y).view(INT)
    exponent = (bits - INT(0x3F3504F3)) >> INT(23)
    m = INT(bits - (exponent << INT(23))).view(F) - F(1)
    return log_of_parts(exponent, y if exponent == INT(0) else m)


def _log_of_parts(exponent: Any, m: Any) -> Any:
    """Return log(2^exponent (1 + m)), m between -0.3 and 0.42."""
    p = F(7.0376836292e-2) * m - F(1.1514610310e-1)
    p = p * m + F(1.1676998740e-1)
    p = p * m - F(1.2420140846e-1)
    p = p * m + F(1.4249322787e-1)
    p = p * m - F(1.6668057665e-1)
    p = p * m + F(2.0000714765e-1)
    p = p * m - F(2.4999993993e-1)
    p = p * m + F(3.3333331174e-1)
    z = m * m
    return m - F(0.5) * z + p * m * z + F(exponent) * F(0.69314718)


def _gamma_terms(x: float, theta: float, r: float) -> tuple[float, float]:
    """Return lgamma(x + theta) - lgamma(theta) - x log r, and digamma(x + theta) - digamma(theta)."""
    if x <= _SMALL and x == math.floor(x):
        product, total, inverse = 1.0, 0.0, 1.0 / r
        for k in range(int(x)):
            product *= (theta + k) * inverse
            total += 1.0 / (theta + k)
        return math.log(product), total
    gammas = math.lgamma(x + theta) - math.lgamma(theta)
    return gammas - x * math.log(r), digamma(x + theta) - digamma(theta)


def _digamma(x: float) -> float:
    """Return the digamma function of a positive number: recurrence, then Stirling's series."""
    total = 0.0
    while x < _LARGE:
        total -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * 691 / 32760)))))
    return total + math.log(x) - 0.5 / x - series


exp = compiled(_exp, inline="always")
log_of_parts = compiled(_log_of_parts, inline="always")
log = compiled(_log, inline="always")
log1p = compiled(_log1p, inline="always")
digamma = compiled(_digamma)
gamma_terms = compiled(_gamma_terms)
