"""Likelihoods of the data given the decoder's linear predictor.

A likelihood is a small object with a name, the kind of data it supports, its parameters (each one value a
batch and feature), and functions of the predictor ``eta``. Adding one means writing one class and naming it
in :data:`LIKELIHOODS`; decoders, objective and training need no change.
"""

from __future__ import annotations

from omicsglue.nn.likelihoods.binary import Bernoulli
from omicsglue.nn.likelihoods.counts import NegativeBinomial, Poisson
from omicsglue.nn.likelihoods.coverage import BetaBinomial
from omicsglue.nn.likelihoods.fractions import Beta
from omicsglue.nn.likelihoods.mixture import NegativeBinomialMixture
from omicsglue.nn.likelihoods.protocol import CoverageProfile, FeatureProfile, Likelihood
from omicsglue.nn.likelihoods.real import Normal, ZeroInflatedLogNormal, ZeroInflatedNormal
from omicsglue.nn.likelihoods.zero_inflated_counts import ZeroInflatedNegativeBinomial

__all__ = [
    "LIKELIHOODS",
    "BetaBinomial",
    "CoverageProfile",
    "FeatureProfile",
    "Likelihood",
    "NegativeBinomial",
]

LIKELIHOODS: dict[str, Likelihood] = {
    each.name: each
    for each in (
        NegativeBinomial(),
        ZeroInflatedNegativeBinomial(),
        Poisson(),
        Normal(),
        ZeroInflatedNormal(),
        ZeroInflatedLogNormal(),
        Bernoulli(),
        Beta(),
        BetaBinomial(),
        NegativeBinomialMixture(),
    )
}
