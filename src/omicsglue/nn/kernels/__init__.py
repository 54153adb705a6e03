"""Fused element-wise passes over a minibatch on the CPU, compiled by numba when they are first called.

A decoder's output is cells x features, far larger than a core's cache. Torch walks over it once an operation;
here every row is finished while it is in the cache. Kernels are functions of numpy arrays and numbers that
write to arrays which they are given, hold no lock, and know nothing of torch.
"""

from omicsglue.nn.kernels.functions import digamma, exp, gamma_terms, log, log1p
from omicsglue.nn.kernels.layers import (
    activate,
    activate_backward,
    hidden_backward,
    hidden_forward,
    hidden_moments,
    hidden_sums,
    normal_draw,
    normal_gradient,
)
from omicsglue.nn.kernels.likelihoods import negative_binomial
from omicsglue.nn.kernels.noise import hashed, keep, normal_noise
from omicsglue.nn.kernels.training import edge_gradient, edge_products, multiquadrics, rmsprop

__all__ = [
    "activate",
    "activate_backward",
    "digamma",
    "edge_gradient",
    "edge_products",
    "exp",
    "gamma_terms",
    "hashed",
    "hidden_backward",
    "hidden_forward",
    "hidden_moments",
    "hidden_sums",
    "keep",
    "log",
    "log1p",
    "multiquadrics",
    "negative_binomial",
    "normal_draw",
    "normal_gradient",
    "normal_noise",
    "rmsprop",
]
