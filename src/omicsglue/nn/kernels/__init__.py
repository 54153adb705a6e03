"""Fused element-wise passes over a minibatch on the CPU, compiled by numba when they are first called.

A decoder's output is cells x features, far larger than a core's cache. Torch walks over it once an operation;
here every row is finished while it is in the cache. Kernels are functions of numpy arrays and numbers that
write to arrays which they are given, hold no lock, and know nothing of torch.
"""

from omicsglue.nn.kernels.functions import digamma, exp, gamma_terms, log, log1p
from omicsglue.nn.kernels.graph import add_edges, edge_losses, incidence, propagate
from omicsglue.nn.kernels.judges import cross_entropy, four_multiquadrics, mean_distance
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
from omicsglue.nn.kernels.runs import decoder_gradient, decoder_parameters, draw_run, gradient_run
from omicsglue.nn.kernels.training import edge_gradient, edge_products, multiquadrics, rmsprop

__all__ = [
    "activate",
    "activate_backward",
    "add_edges",
    "cross_entropy",
    "decoder_gradient",
    "decoder_parameters",
    "digamma",
    "draw_run",
    "edge_gradient",
    "edge_losses",
    "edge_products",
    "exp",
    "four_multiquadrics",
    "gamma_terms",
    "gradient_run",
    "hashed",
    "hidden_backward",
    "hidden_forward",
    "hidden_moments",
    "hidden_sums",
    "incidence",
    "keep",
    "log",
    "log1p",
    "mean_distance",
    "multiquadrics",
    "negative_binomial",
    "normal_draw",
    "normal_gradient",
    "normal_noise",
    "propagate",
    "rmsprop",
]
