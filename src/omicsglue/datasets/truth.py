"""The truth behind simulated data: states, genome, links and the parameters of every feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from omicsglue.datasets.layout import draw_links, place_genes, place_peaks
from omicsglue.datasets.methylation import CG, CH, MethylationParameters, methylation_parameters
from omicsglue.datasets.options import MODALITIES, Assay, SimulationOptions
from omicsglue.datasets.protein import ProteinParameters, protein_parameters
from omicsglue.datasets.states import StateTree, grow_tree

Float = NDArray[np.float64]

# one independent stream of random numbers a part, so that changing one part leaves the others as they are
_TREE, _GENES, _PEAKS, _ACCESS, _OWN, _LINKS, _RNA, _ATAC, _ASSAY = range(9)
CELL_STREAM: Final = 100  # then the block number
COUNT_STREAM: Final = 200  # plus the modality's number, then the block number

_GENE_SPACING, _PEAK_SPACING = 100_000.0, 5_000.0  # base pairs, at least
_BRANCH_SHARE = 0.25  # share of the features that a branch of the tree changes
_DOMAIN_PEAKS = 25  # neighbouring peaks that share part of their changes
_DOMAIN_SHARE = 0.45  # of the variance
_UNEVEN = 0.5  # log standard deviation of the features' scales of effects
_CALM = -0.15  # power of the mean expression with which effects fall: strong genes keep the house


def random_stream(seed: int, *stream: int) -> np.random.Generator:
    """Return the generator of one independent stream of a simulation."""
    return np.random.default_rng([seed, *stream])


@dataclass(frozen=True)
class CountParameters:
    """What the counts of one modality are drawn from.

    The expected count of feature f in a cell with latent state c, batch b and depth d is
    ``d exp(batch[b, f]) ((1 - background) exp(base[f] + c @ loadings[:, f]) + background profile[f])``.

    Attributes
    ----------
    base
        Log share of the counts at latent state zero (features).
    loadings
        Change of the log rate for each coordinate of the latent state (states x features, float32).
    profile
        Mean share of the counts (features, sums to 1).
    dispersion
        Negative binomial dispersion phi, variance = mu + phi mu^2 (features).
    batch
        Log factor of each batch (batches x features).
    depth_shift
        Change of the log depth for each batch (batches).
    depth, depth_sd
        Median and log standard deviation of the depth.
    background, double
        As in `Assay`.
    """

    base: Float
    loadings: NDArray[np.float32]
    profile: Float
    dispersion: Float
    batch: Float
    depth_shift: Float
    depth: float
    depth_sd: float
    background: float
    double: float


@dataclass(frozen=True)
class SimulationTruth:
    """Everything about a simulated data set except its cells.

    The latent state of a cell has one coordinate for each cell type (its weights over the types, summing to
    1) followed by one for each programme (a standard normal score).

    Attributes
    ----------
    options
        What was asked for.
    tree
        The states and their shares.
    genes, peaks
        Places on the genome, in the order of the features.
    links
        ``gene``, ``peak`` (positions), ``sign``, ``effect`` and ``distance`` of each true link. One unit of
        the latent accessibility of the peak changes the log rate of the gene by ``sign * effect``.
    accessibility
        Latent accessibility of the peaks (states x peaks, float32); the loadings of the peaks.
    own
        The part of the genes' loadings that no peak explains (states x genes, float32).
    expression
        Loadings of the genes: `own` plus the sum over links (states x genes, float32).
    counts
        Parameters of the modalities ``rna`` and ``atac``.
    methylation, methylation_ch, protein
        Parameters of these modalities, drawn whether they were asked for or not.
    """

    options: SimulationOptions
    tree: StateTree
    genes: pd.DataFrame
    peaks: pd.DataFrame
    links: pd.DataFrame
    accessibility: NDArray[np.float32]
    own: NDArray[np.float32]
    expression: NDArray[np.float32]
    counts: Mapping[str, CountParameters]
    methylation: MethylationParameters
    methylation_ch: MethylationParameters
    protein: ProteinParameters

    @property
    def states(self) -> int:
        """Number of coordinates of a cell's latent state."""
        return self.options.types + self.options.programmes


def draw_truth(options: SimulationOptions) -> SimulationTruth:
    """Draw the truth of a simulation; it depends on the options and the seed, not on the number of cells."""
    seed, technology = options.seed, options.technology
    tree = grow_tree(options.types, options.rare_share, random_stream(seed, _TREE))
    spacing = max(_GENE_SPACING, _PEAK_SPACING * options.n_peaks / options.n_genes)
    genes = place_genes(options.n_genes, spacing, random_stream(seed, _GENES))
    peaks = place_peaks(
        genes,
        options.n_peaks,
        technology.peak_width,
        technology.peak_width_sd,
        random_stream(seed, _PEAKS),
    )
    access_rng, own_rng = random_stream(seed, _ACCESS), random_stream(seed, _OWN)
    access_scale = technology.atac.effect * options.signal
    accessibility = access_scale * _state_effects(tree, options, options.n_peaks, access_rng, domains=True)
    accessibility *= _uneven(options.n_peaks, access_rng)
    link_rng = random_stream(seed, _LINKS)
    links = draw_links(genes, peaks, options.links_per_gene, link_rng)
    own = _state_effects(tree, options, options.n_genes, own_rng, domains=False)
    scale = technology.rna.effect * options.signal * _uneven(options.n_genes, own_rng)
    rna_means = _feature_means(technology.rna, options.n_genes, random_stream(seed, _RNA))
    scale *= (rna_means / np.median(rna_means)) ** _CALM
    own, links = _regulate(own, accessibility, links, scale, options)
    expression = own + _regulated(accessibility, links, options.n_genes)
    atac_means = _feature_means(technology.atac, options.n_peaks, random_stream(seed, _ATAC))
    counts = {
        "rna": _parameters("rna", technology.rna, rna_means, expression, tree, options),
        "atac": _parameters("atac", technology.atac, atac_means, accessibility, tree, options),
    }
    return SimulationTruth(
        options=options,
        tree=tree,
        genes=genes,
        peaks=peaks,
        links=links,
        accessibility=accessibility.astype(np.float32),
        own=own.astype(np.float32),
        expression=expression.astype(np.float32),
        counts=counts,
        **{
            name: methylation_parameters(
                genes,
                expression,
                tree.shares,
                depth=options.depth_factor(name),
                noise=options.noise,
                batch_sd=_batch_sd(options),
                rng=random_stream(seed, _ASSAY, MODALITIES.index(name)),
                context=context,
            )
            for name, context in (("methylation", CG), ("methylation_ch", CH))
        },
        protein=protein_parameters(
            min(options.proteins, options.n_genes),
            expression,
            options.types,
            depth=options.depth_factor("protein"),
            noise=options.noise,
            batch_sd=_batch_sd(options),
            rng=random_stream(seed, _ASSAY, MODALITIES.index("protein")),
        ),
    )


def _batch_sd(options: SimulationOptions) -> Float:
    """Return the standard deviation of the log factors of each batch; a single batch has none."""
    return np.full(options.batches, options.batch_effect if options.batches > 1 else 0.0)


def _state_effects(
    tree: StateTree, options: SimulationOptions, features: int, rng: np.random.Generator, *, domains: bool
) -> Float:
    """Return effects whose mean variance over types is 1; types add up the branches that lead to them."""
    nodes = len(tree.parents)
    rows = nodes + options.programmes
    effects = rng.standard_normal((rows, features)) * (rng.random((rows, features)) < _BRANCH_SHARE)
    if domains:
        blocks = -(-features // _DOMAIN_PEAKS)
        shared = rng.standard_normal((rows, blocks)) * (rng.random((rows, blocks)) < 2 * _BRANCH_SHARE)
        effects *= np.sqrt(1.0 - _DOMAIN_SHARE)
        effects += np.sqrt(_DOMAIN_SHARE / 2) * np.repeat(shared, _DOMAIN_PEAKS, axis=1)[:, :features]
    branches = tree.paths() @ (tree.strength[:, None] * effects[:nodes])
    branches /= np.sqrt(branches.var(axis=0).mean())
    unit = np.sqrt(_BRANCH_SHARE)
    programmes = options.programme_scale * effects[nodes:] / unit
    return np.vstack([branches, programmes])


def _uneven(features: int, rng: np.random.Generator) -> Float:
    """Return factors of mean square 1: some features are steady, some are markers."""
    factors: Float = np.exp(rng.normal(-(_UNEVEN**2), _UNEVEN, size=features))
    return factors


def _spread(loadings: Float, types: int) -> Float:
    """Return the deviation of the log rate over types (equally weighted) and programmes (features)."""
    states, programmes = loadings[:types], loadings[types:]
    variance: Float = states.var(axis=0) + (programmes**2).sum(axis=0)
    return np.sqrt(variance)


def _regulated(accessibility: Float, links: pd.DataFrame, genes: int) -> Float:
    """Return the sum of sign * effect * accessibility over the links of each gene (states x genes)."""
    weights = (links["sign"] * links["effect"]).to_numpy(dtype=np.float64)
    matrix = sparse.csr_array(
        (weights, (links["peak"].to_numpy(), links["gene"].to_numpy())), shape=(accessibility.shape[1], genes)
    )
    return np.asarray(accessibility @ matrix)


def _regulate(
    own: Float, accessibility: Float, links: pd.DataFrame, scale: Float, options: SimulationOptions
) -> tuple[Float, pd.DataFrame]:
    """Scale own effects and links so that links make up `regulation` of a gene's variance over states."""
    share = options.regulation
    if share == 0.0:
        links = links.iloc[:0]
    links = links.rename(columns={"raw": "effect"})
    spread = _spread(_regulated(accessibility, links, options.n_genes), options.types)
    linked = spread > 1e-9
    factor = np.where(linked, np.sqrt(share) * scale / np.where(linked, spread, 1.0), 0.0)
    links["effect"] *= factor[links["gene"].to_numpy()]
    links = links[links["effect"] > 0].reset_index(drop=True)
    own_spread = _spread(own, options.types)
    left = np.where(linked, np.sqrt(1.0 - share), 1.0) * scale
    own = own * (left / np.where(own_spread > 0, own_spread, 1.0))
    return own, links[["gene", "peak", "sign", "effect", "distance"]]


def _feature_means(assay: Assay, features: int, rng: np.random.Generator) -> Float:
    """Return shares of the counts: log-normal with different spread below and above the median."""
    z = rng.standard_normal(features).clip(-3.5, 3.7)
    means = np.exp(np.where(z < 0, assay.low_sd, assay.high_sd) * z)
    if assay.dominant > 0:
        top = int(np.argmax(means))
        rest = means.sum() - means[top]
        means[top] = max(means[top], rest * assay.dominant / (1.0 - assay.dominant))
    shares: Float = means / means.sum()
    return shares


def _parameters(
    modality: str, assay: Assay, means: Float, loadings: Float, tree: StateTree, options: SimulationOptions
) -> CountParameters:
    types, batch_sd = options.types, _batch_sd(options)
    rng = random_stream(options.seed, _ASSAY, MODALITIES.index(modality))
    growth = (tree.shares @ np.exp(loadings[:types])) * np.exp(0.5 * (loadings[types:] ** 2).sum(axis=0))
    depth = assay.depth * options.depth_factor(modality)
    phi = assay.dispersion + assay.dispersion_slope / np.sqrt(means * depth)
    phi = options.noise * phi * np.exp(rng.normal(0.0, assay.dispersion_scatter, size=len(means)))
    return CountParameters(
        base=np.log(means) - np.log(growth),
        loadings=loadings.astype(np.float32),
        profile=means,
        dispersion=phi,
        batch=rng.standard_normal((options.batches, len(means))) * batch_sd[:, None],
        depth_shift=rng.standard_normal(options.batches) * batch_sd,
        depth=depth,
        depth_sd=assay.depth_sd,
        background=min(assay.background * options.noise, 0.9),
        double=assay.double,
    )
