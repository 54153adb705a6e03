"""Random numbers as a hash of a counter and a seed, so that any block can draw its own part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from omicsglue.compiling import FAST, F, U, compiled
from omicsglue.nn.kernels.functions import log


def _hashed(counter: Any, first: Any, second: Any) -> Any:
    """Return 32 random bits for a counter and a seed of 64: multiply, fold, twice over."""
    x = U(U(counter) * U(0x9E3779B9) + first)
    x = U((x ^ (x >> U(16))) * U(0x21F0AAAD))
    x = U((x ^ (x >> U(15)) ^ second) * U(0xD35A2D97))
    x = U((x ^ (x >> U(15))) * U(0x735A2D97))
    return U(x ^ (x >> U(16)))


hashed = compiled(_hashed, inline="always")


def _gauss_pair(first: Any, second: Any) -> Any:
    """Return two standard normal numbers made of two times 32 random bits: Box & Muller 1958.

    An eighth of the circle is computed, from 29 bits of the second word, and turned and mirrored by three.
    The tails end at 6.7.
    """
    radius = np.sqrt(F(-2) * log((F(first) + F(0.5)) * F(2.0**-32)))
    x = F(second >> U(3)) * F(math.pi / 4 * 2.0**-29)
    y = x * x
    sine = ((F(-1.9515295891e-4) * y + F(8.3321608736e-3)) * y - F(1.6666654611e-1)) * y * x + x
    cosine = (F(2.443315711809948e-5) * y - F(1.388731625493765e-3)) * y + F(4.166664568298827e-2)
    cosine = cosine * y * y - F(0.5) * y + F(1)
    one, two = (sine, cosine) if second & U(4) else (cosine, sine)
    one = -one if second & U(2) else one
    two = -two if second & U(1) else two
    return radius * one, radius * two


gauss_pair = compiled(_gauss_pair, inline="always")


def _normal_noise(first: Any, second: Any, begin: int, out: Any) -> None:
    """Receive standard normal numbers, flat; ``begin`` is the place of the first among all of one seed."""
    half = len(out) // 2
    for i in range(half):
        counter = U(begin) + U(2) * U(i)
        out[i], out[half + i] = gauss_pair(
            hashed(U(counter), first, second), hashed(U(counter + U(1)), first, second)
        )
    if len(out) % 2:
        last = U(begin) + U(len(out) - 1)
        out[-1], _ = gauss_pair(hashed(U(last), first, second), hashed(U(last), second, first))


normal_noise = compiled(_normal_noise, fastmath=FAST)


def _keep(size: int, rate: float, first: Any, second: Any) -> Any:
    """Return a mask of dropout: 0 at a rate, 1 / (1 - rate) elsewhere, shape ``(size,)``."""
    out = np.empty(size, dtype=F)
    limit, up = U(rate * 2.0**32), F(1 / (1 - rate))
    for i in range(size):
        out[i] = F(0) if hashed(U(i), first, second) < limit else up
    return out


keep = compiled(_keep)
