"""Paired multi-omics cells with known types, trajectories and regulatory links."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from omicsglue.datasets.cells import blocks_of, cell_table, draw_cells
from omicsglue.datasets.counts import draw_counts
from omicsglue.datasets.options import SimulationOptions
from omicsglue.datasets.truth import SimulationTruth, draw_truth
from omicsglue.datasets.write import write_simulation
from omicsglue.keys import CHROM, END, START, STRAND

_CONTEXTS: Final = {"methylation": "CG", "methylation_ch": "CH"}


@dataclass(frozen=True)
class SimulatedData:
    """Simulated modalities and the truth behind them.

    Attributes
    ----------
    modalities
        The data by name. Counts are in ``X`` (CSR, float32), covered counts of methylation in its layer
        ``coverage``; ``obs`` has ``cell_type``, ``batch``, ``branch``, ``pseudotime`` and ``n_counts``. A
        cell has one name in all modalities.
    cells
        All cells that were drawn, measured or not, with the columns above and one of ``in_<modality>`` each.
    truth
        Everything that the data were drawn from.
    """

    modalities: dict[str, ad.AnnData]
    cells: pd.DataFrame
    truth: SimulationTruth

    def __getitem__(self, modality: str) -> ad.AnnData:
        return self.modalities[modality]

    @property
    def rna(self) -> ad.AnnData:
        """Gene expression counts (cells x genes)."""
        return self.modalities["rna"]

    @property
    def atac(self) -> ad.AnnData:
        """Chromatin accessibility counts (cells x peaks)."""
        return self.modalities["atac"]

    @property
    def links(self) -> pd.DataFrame:
        """True links by name: ``source`` (gene), ``target`` (peak), ``sign``, ``effect``, ``distance``."""
        return named_links(self.truth)

    @property
    def genes(self) -> pd.DataFrame:
        """Places of the genes: ``gene_id``, ``chrom``, ``start``, ``end``, ``strand``, ``tss`` (0-based)."""
        return self.truth.genes

    @property
    def proteins(self) -> pd.DataFrame:
        """Which gene makes which protein: ``protein`` and ``gene``."""
        return protein_genes(self.truth)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the modalities, ``genes.gtf.gz``, ``links.parquet`` and ``truth.json`` into a folder.

        Where proteins were simulated, ``proteins.parquet`` names the gene of each.

        Parameters
        ----------
        folder
            Created where it does not exist; files of the same names are replaced.

        Returns
        -------
        The folder.
        """
        tables = {"links": self.links}
        if "protein" in self.modalities:
            tables["proteins"] = self.proteins
        return write_simulation(Path(folder), self.modalities, tables, self.truth)


def named_links(truth: SimulationTruth) -> pd.DataFrame:
    """Return the true links with names in place of positions."""
    links = truth.links
    return pd.DataFrame(
        {
            "source": truth.genes.index.to_numpy()[links["gene"].to_numpy()],
            "target": truth.peaks.index.to_numpy()[links["peak"].to_numpy()],
            "sign": links["sign"].to_numpy(),
            "effect": links["effect"].to_numpy(),
            "distance": links["distance"].to_numpy(),
        }
    )


def protein_genes(truth: SimulationTruth) -> pd.DataFrame:
    """Return which gene makes which protein."""
    places, names = _gene_features(truth, "protein")
    return pd.DataFrame({"protein": names.to_numpy(), "gene": places.index.to_numpy()})


def simulate(
    cells: int = 3_000,
    *,
    genes: int | None = None,
    peaks: int | None = None,
    types: int = 10,
    preset: str = "10x",
    seed: int = 0,
    modalities: Sequence[str] = ("rna", "atac"),
    regulation: float = 0.8,
    links_per_gene: float = 4.0,
    signal: float = 1.0,
    noise: float = 1.0,
    depth: Mapping[str, float] | float = 1.0,
    depth_correlation: float | None = None,
    rare_share: float = 0.01,
    continuum: float = 0.15,
    programmes: int = 6,
    programme_scale: float = 0.3,
    batches: int = 1,
    batch_effect: float = 0.3,
    batch_shares: Sequence[float] | None = None,
    private_types: Mapping[str, str] | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    missing_batches: Mapping[str, Sequence[str]] | None = None,
    composition: Mapping[str, Mapping[str, float]] | None = None,
    paired: float = 1.0,
    proteins: int = 30,
    coordinates: bool = False,
) -> SimulatedData:
    """Simulate paired multi-omics cells with known types, trajectory and regulatory links.

    Parameters
    ----------
    cells
        Cells drawn; fewer may be measured in a modality (see `missing`, `composition`, `paired`).
    genes, peaks
        Numbers of features; the preset's by default.
    types
        Number of cell types, named ``type1`` (the commonest) and so on.
    preset
        ``"10x"`` (2,000 genes, 30,000 peaks, depths of 10x Multiome) or ``"snare"`` (1,700 genes, 20,000
        peaks, the shallow counts of SNARE-seq).
    seed
        The same seed and options give the same data; the first n cells do not depend on how many follow.
    modalities
        Out of ``rna``, ``atac``, ``methylation`` (CG), ``methylation_ch`` and ``protein``. The two
        contexts of methylation are read from the same cells.
    regulation
        Share of the variance of a linked gene's log rate over states that comes from the accessibility of its
        linked peaks. With 0 there are no links: genes and peaks then change along the same tree of states,
        but by independent draws, so that a gene is as much related to a distant peak as to a near one.
    links_per_gene
        Mean number of true links of a gene.
    signal
        Scales all differences between states; 0 leaves cells that differ in depth and batch only.
    noise
        Scales overdispersion and the share of background counts; 0 gives Poisson counts without background.
    depth
        Factor on the preset's depth, for all modalities or by modality.
    depth_correlation
        Correlation of the log depths of the modalities of a cell; the preset's by default.
    rare_share
        Share of the rarest type; the others rise geometrically to the commonest.
    continuum
        Share of the cells that lie between the two commonest sibling types, if these two hold as many.
    programmes, programme_scale
        Number of continuous programmes within all types and their strength relative to the branches of the
        tree.
    batches, batch_effect, batch_shares
        Number of batches, standard deviation of their log factors on features and depths (each modality has
        its own), and relative sizes.
    private_types
        Types found in one batch only, such as ``{"type3": "batch2"}``.
    missing
        Types not measured in a modality, such as ``{"atac": ["type3"]}``.
    missing_batches
        Batches not measured in a modality.
    composition
        Share of a type's cells that is measured in a modality, such as ``{"atac": {"type3": 0.1}}``.
    paired
        Share of the cells measured in all modalities; each of the others is measured in one, taken at random
        (in both contexts of methylation where both are asked for).
    proteins
        Number of surface proteins, where ``protein`` is among the modalities.
    coordinates
        Whether to fill ``var`` with the places of genes and peaks instead of leaving them to the annotation.

    Returns
    -------
    The data and the truth.

    Raises
    ------
    OptionError
        If an option is out of range or names a type, batch or modality that does not exist.

    Examples
    --------
    >>> data = simulate(100, genes=50, peaks=200, types=3)
    >>> data.rna.shape, data.atac.shape
    ((100, 50), (100, 200))
    """
    factors = depth if isinstance(depth, Mapping) else dict.fromkeys(modalities, depth)
    options = SimulationOptions(
        cells=cells,
        genes=genes,
        peaks=peaks,
        types=types,
        preset=preset,
        seed=seed,
        modalities=tuple(modalities),
        regulation=regulation,
        links_per_gene=links_per_gene,
        signal=signal,
        noise=noise,
        depth=dict(factors),
        depth_correlation=depth_correlation,
        rare_share=rare_share,
        continuum=continuum,
        programmes=programmes,
        programme_scale=programme_scale,
        batches=batches,
        batch_effect=batch_effect,
        batch_shares=None if batch_shares is None else tuple(batch_shares),
        private_types=dict(private_types or {}),
        missing={name: tuple(values) for name, values in (missing or {}).items()},
        missing_batches={name: tuple(values) for name, values in (missing_batches or {}).items()},
        composition={name: dict(values) for name, values in (composition or {}).items()},
        paired=paired,
        proteins=proteins,
    )
    return simulate_from(draw_truth(options), coordinates=coordinates)


def demo_data(seed: int = 0) -> SimulatedData:
    """Simulate the data of the demo: 1,500 cells of eight types, deep enough to be integrated in a minute.

    Parameters
    ----------
    seed
        Seed of the simulation.

    Returns
    -------
    RNA (1,000 genes) and ATAC (6,000 peaks) of the same cells.
    """
    return simulate(1_500, genes=1_000, peaks=6_000, types=8, seed=seed, rare_share=0.02, depth={"atac": 0.6})


def simulate_from(truth: SimulationTruth, *, coordinates: bool = False) -> SimulatedData:
    """Draw the cells and counts of a truth that `draw_truth` returned, block by block.

    Parameters
    ----------
    truth
        The truth, whose options say how many cells there are.
    coordinates
        As in `simulate`.

    Returns
    -------
    The data.
    """
    names = truth.options.modalities
    drawn: dict[str, list[dict[str, sparse.csr_array]]] = {name: [] for name in names}
    tables: list[pd.DataFrame] = []
    for table, counts in iterate_blocks(truth):
        tables.append(table)
        for name in names:
            drawn[name].append(counts[name])
    cells = pd.concat(tables)
    modalities = {name: _assemble(truth, name, drawn[name], cells, coordinates=coordinates) for name in names}
    return SimulatedData(modalities=modalities, cells=cells, truth=truth)


def iterate_blocks(
    truth: SimulationTruth,
) -> Iterator[tuple[pd.DataFrame, dict[str, dict[str, sparse.csr_array]]]]:
    """Draw the cells block by block, each independent of the others.

    Parameters
    ----------
    truth
        What `draw_truth` returned.

    Yields
    ------
    The table of the block's cells (as `SimulatedData.cells`) and, by modality and layer, the counts of the
    measured ones.
    """
    for number in range(blocks_of(truth.options.cells)):
        block = draw_cells(truth, number)
        yield (
            cell_table(truth, block),
            {name: draw_counts(truth, block, name) for name in truth.options.modalities},
        )


def _assemble(
    truth: SimulationTruth,
    modality: str,
    drawn: list[dict[str, sparse.csr_array]],
    cells: pd.DataFrame,
    *,
    coordinates: bool,
) -> ad.AnnData:
    layers = {
        layer: sparse.csr_matrix(
            sparse.vstack([block[layer] for block in drawn], format="csr", dtype=np.float32)
        )
        for layer in drawn[0]
    }
    counts = layers.pop("X")
    obs = cells.loc[cells[f"in_{modality}"], ["cell_type", "batch", "branch", "pseudotime"]].copy()
    obs["n_counts"] = np.asarray(counts.sum(axis=1)).ravel()
    var = features_of(truth, modality, coordinates=coordinates)
    return ad.AnnData(X=counts, obs=obs, var=var, layers=layers)


def features_of(truth: SimulationTruth, modality: str, *, coordinates: bool = False) -> pd.DataFrame:
    """Return ``var`` of a modality, with places where these are asked for."""
    if modality == "atac":
        places, names = truth.peaks.assign(strand="."), truth.peaks.index
        var = pd.DataFrame(index=pd.Index(names.to_numpy()))
    else:
        places, names = _gene_features(truth, modality)
        var = pd.DataFrame({"gene_id": places["gene_id"].to_numpy()}, index=pd.Index(names.to_numpy()))
        if modality != "rna":
            var["gene"] = places.index.to_numpy()
    if coordinates:
        for column in (CHROM, START, END, STRAND):
            var[column] = places[column].to_numpy()
    return var


def _gene_features(truth: SimulationTruth, modality: str) -> tuple[pd.DataFrame, pd.Index]:
    """Return the rows of the gene table that a modality measures and the names of its features."""
    if modality in _CONTEXTS:
        return truth.genes, truth.genes.index + f"_m{_CONTEXTS[modality]}"
    if modality == "protein":
        places = truth.genes.iloc[truth.protein.genes]
        return places, "prot_" + places.index
    return truth.genes, truth.genes.index
