"""``links``: regulatory links of a run, judged by evidence, with activities and a network of factors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from omicsglue.data.setup import read_setup
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, examples
from omicsglue.genome.evidence import Evidence
from omicsglue.graph import read_graph
from omicsglue.graph.rules import coordinates
from omicsglue.keys import EMBEDDING, SOURCE, TARGET
from omicsglue.pipeline.link_evidence import (
    Source,
    candidate_table,
    check_binding,
    guiding_pairs,
    judged_pairs,
    read_sources,
)
from omicsglue.pipeline.link_outputs import LinkResults, check_place, write_results
from omicsglue.pipeline.link_roles import detected, expected_sign, layers_of, roles
from omicsglue.pipeline.record import Clock, peak_memory, versions
from omicsglue.runs.folder import RunFolder
from omicsglue.suggest import did_you_mean
from omicsglue.tl.activity import link_activity
from omicsglue.tl.baselines import METHODS, baseline_scores
from omicsglue.tl.evaluation import evaluate_links
from omicsglue.tl.links import CORRECTIONS, regulatory_links
from omicsglue.tl.metacells import joint_metacells
from omicsglue.tl.tf_network import TFNetwork, tf_target_network
from omicsglue.training.progress import LiveBar, Reporter

if TYPE_CHECKING:
    from anndata import AnnData

Q_VALUE: Final = 0.1
BASELINES: Final = ("distance", "spearman", "lasso")
_METACELLS: Final = 300


@dataclass(frozen=True)
class LinkOptions:
    """What can be chosen about the links of a run; see :func:`links_of_run`."""

    window: int = 150_000
    promoter: int = 2_000
    elements: Sequence[str] = ()
    evidence: Sequence[Source] = ()
    guide: Sequence[Source] = ()
    tf_binding: str | Path | None = None
    tf_pattern: str | None = None
    tf_top: int | None = None
    label_key: str | None = None
    correction: str = "strata"
    baselines: Sequence[str] = BASELINES
    loci: Sequence[str] = ()
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check what can be checked before anything is read."""
        for flag, sources in (
            ("--evidence", self.evidence),
            ("--guide", self.guide),
            ("--tf-binding", [self.tf_binding]),
        ):
            for source in sources:
                if isinstance(source, str | Path) and not Path(source).is_file():
                    raise OptionError(
                        "there is no such file", where=f"{flag} {source}", remedy="check the path"
                    )
        for flag, number, least in (
            ("--seed", self.seed, 0),
            ("--threads", self.threads, 1),
            ("--tf-top", self.tf_top, 1),
        ):
            if number is not None and number < least:
                raise OptionError(f"it is {number}", where=flag, remedy=f"give {least} or more")
        guiding = set(map(_place_of, self.guide))
        both = [each for each in self.evidence if _place_of(each) in guiding]
        if both:
            raise OptionError(
                f"{examples(both)} both guides the links and judges them",
                where="--evidence",
                remedy="what is known beforehand cannot judge: give it once",
            )
        for flag, asked, known in (
            ("--baseline", self.baselines, METHODS),
            ("--correction", [self.correction], CORRECTIONS),
        ):
            unknown = [each for each in asked if each not in known]
            if unknown:
                raise OptionError(
                    f"there is no {examples(unknown)}{did_you_mean(unknown[0], known)}",
                    where=flag,
                    remedy=f"choose among: {', '.join(known)}",
                )

    def record(self) -> dict[str, Any]:
        """Return the options as they are written to ``links.json``."""
        values = dict(vars(self))
        for name in ("evidence", "guide"):
            values[name] = [each.name if isinstance(each, Evidence) else each for each in values[name]]
        return values


def _place_of(source: Source) -> str:
    return source.name if isinstance(source, Evidence) else str(Path(source).resolve())


def links_of_run(
    run: str | Path | RunFolder,
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> LinkResults:
    """Infer the regulatory links of a finished run and write them.

    Parameters
    ----------
    run
        Run folder.
    out
        Table of links to write, in the format that its ending tells (see
        :func:`omicsglue.runs.link_files.write_links`); ``links.parquet`` of the run folder by default.
        Further files lie beside it and begin with its name.
    reporter
        Hears of the progress; a live bar by default.
    **options
        ``window``, ``promoter``, ``correction``, ``seed``, ``threads``: as for
        :func:`omicsglue.tl.regulatory_links`.
        ``elements``: modalities whose features may regulate genes (all with coordinates).
        ``evidence``: files (see :func:`omicsglue.genome.read_evidence`) by which links are judged, beside
        ``baselines``. ``guide``: the same, known beforehand; such pairs form strata of their own, and judge
        nothing.
        ``tf_binding``: BED of motif hits or ChIP peaks, for a network of transcription factors, which
        ``tf_pattern`` finds in the names of sites; ``tf_top`` takes so many best links of each gene in place
        of those that are significant.
        ``label_key``: ``obs`` column of cell types, for the activity of links. ``loci``: genes to draw.

    Returns
    -------
    LinkResults

    Raises
    ------
    OmicsGlueError
        If the run, an option or a file cannot be used; nothing has been written then.
    """
    chosen = LinkOptions(**options)
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    place = Path(out) if out is not None else folder.links
    check_place(place)
    reporter = reporter or LiveBar()
    try:
        return _Job(folder, chosen, reporter).run(place)
    finally:
        reporter.close()


class _Job:
    """One call of ``links`` at work."""

    def __init__(self, folder: RunFolder, options: LinkOptions, reporter: Reporter) -> None:
        self.options, self.reporter, self.clock = options, reporter, Clock()
        reporter.stage("read")
        judges = read_sources(options.evidence, "--evidence")
        guides = read_sources(options.guide, "--guide")
        self.members = folder.members()
        self.modalities, self.graph = folder.modalities(), read_graph(folder.graph)
        self.genes, self.targets = roles(self.modalities, self.graph, options.elements)
        self._check_label_key()
        near: dict[str, int] = {"window": options.window, "promoter": options.promoter}
        genes, ids = coordinates(self.rna, self.genes), self._gene_ids()
        elements = {name: coordinates(self.modalities[name], name) for name in self.targets}
        candidates = candidate_table(genes, elements, **near)
        self._check_loci(candidates)
        self.judged = [judged_pairs(candidates, each, options.promoter, ids) for each in judges]
        self.guiding = guiding_pairs(guides, genes, elements, gene_ids=ids, **near)
        if options.tf_binding is not None:
            first = elements[self.targets[0]]
            check_binding(options.tf_binding, genes, first, self.rna.var_names, options.tf_pattern)
        self.clock.lap("read")

    @property
    def rna(self) -> AnnData:
        """The modality that holds the genes."""
        return self.modalities[self.genes]

    def run(self, place: Path) -> LinkResults:
        """Infer, judge, and write everything at the end."""
        options = self.options
        self.reporter.stage("links")
        table, strata = self._infer()
        self.clock.lap("links")
        for column in self.judged:
            table[str(column.name)] = column
        significant = table[table["q_value"] < Q_VALUE]
        self.reporter.message(
            f"{len(table):,} candidate pairs of {table[SOURCE].nunique():,} genes; {len(significant):,} "
            f"links of {significant[SOURCE].nunique():,} genes at a false discovery rate of {Q_VALUE}"
        )
        evaluation = self._evaluate(table) if self.judged else None
        activity = self._activity(significant) if options.label_key is not None else None
        network = self._network(table, options.tf_binding) if options.tf_binding is not None else None
        record = {
            "options": options.record(),
            "genes": self.genes,
            "elements": self.targets,
            "embeddings": self.members,
            "strata": strata.to_dict("records"),
            "versions": versions(),
            "seconds": self.clock.seconds,
            "peak_memory_bytes": peak_memory(),
        }
        self.reporter.stage("write")
        results = LinkResults(table, strata, evaluation, activity, network)
        files = write_results(
            results, place, record, q_value=Q_VALUE, loci=options.loci, elements=self._elements()
        )
        self.reporter.message(f"done: {place}")
        return LinkResults(table, strata, evaluation, activity, network, files)

    def _infer(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the links to every modality of elements, and the strata."""
        options, setup = self.options, read_setup(self.rna, self.genes)
        tables: list[pd.DataFrame] = []
        strata: list[dict[str, Any]] = []
        for name in self.targets:
            elements = self.modalities[name]
            other = read_setup(elements, name)
            layer, coverage = layers_of(elements, name)
            found = regulatory_links(
                self.rna,
                elements,
                self.graph,
                self.guiding,
                window=options.window,
                promoter=options.promoter,
                sign=expected_sign(self.graph, elements),
                embeddings=self.members,
                layers=(setup.layer, layer),
                batch_keys=(setup.batch_key, other.batch_key),
                names=(self.genes, name),
                coverage=coverage,
                correction=options.correction,
                seed=options.seed,
                threads=options.threads,
            )
            tables.append(found)
            strata += [{"modality": name, **each} for each in found.attrs["strata"]]
        return pd.concat(tables, ignore_index=True), pd.DataFrame(strata)

    def _gene_ids(self) -> Mapping[str, str] | None:
        column = self.rna.var.get("gene_id")
        return None if column is None else column.dropna().astype(str).to_dict()

    def _evaluate(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return how well scores and baselines agree with each evidence."""
        self.reporter.stage("evaluate")
        setup, rows = read_setup(self.rna, self.genes), []
        for name, links in table.groupby("modality", sort=False):
            elements = self.modalities[str(name)]
            layer, coverage = layers_of(elements, str(name))
            scores = baseline_scores(
                links,
                self.rna,
                elements,
                methods=self.options.baselines,
                layers=(setup.layer, layer),
                coverage=coverage,
                seed=self.options.seed,
            ).add_prefix("baseline ")
            methods = ["score", *(["cosine"] if links["cosine"].notna().any() else []), *scores]
            scored = links.join(scores)
            for column in self.judged:
                if column[links.index].any():  # else it knows no element of this modality
                    found = evaluate_links(scored, column[links.index], scores=methods)
                    called = str(column.name).removeprefix("evidence_")
                    rows.append(found.assign(evidence=called, modality=name))
        self.clock.lap("evaluate")
        return pd.concat(rows, ignore_index=True)

    def _activity(self, links: pd.DataFrame) -> pd.DataFrame:
        """Return the activity of links in each cell type."""
        parts = []
        for name, part in links.groupby("modality", sort=False):
            elements = self.modalities[str(name)]
            layer = read_setup(elements, str(name)).layer
            parts.append(link_activity(part, self.rna, elements, str(self.options.label_key), layer=layer))
        return pd.concat(parts).reset_index() if parts else pd.DataFrame({SOURCE: [], TARGET: []})

    def _network(self, table: pd.DataFrame, tf_binding: str | Path) -> TFNetwork | None:
        """Return the network of transcription factors over the first modality of elements."""
        from anndata import AnnData

        links = table[table["modality"] == self.targets[0]]
        if self.options.tf_top is None and not (links["q_value"] < Q_VALUE).any():
            text = (
                f"there is no network of factors, since no link has a q-value below {Q_VALUE}; --tf-top 5 "
                "takes the five best links of each gene instead"
            )
            warnings.warn(text, OmicsGlueWarning, stacklevel=2)
            return None
        self.reporter.stage("network")
        options, layer = self.options, read_setup(self.rna, self.genes).layer
        cells = joint_metacells({self.genes: self.rna.obsm[EMBEDDING]}, _METACELLS, seed=options.seed)
        counts = self.rna
        if layer is not None:
            counts = AnnData(X=self.rna.layers[layer], obs=self.rna.obs, var=self.rna.var)
        network = tf_target_network(
            links,
            counts,
            tf_binding,
            labels=list(cells[self.genes]),
            name_pattern=options.tf_pattern,
            elements=detected(self.modalities[self.targets[0]], self.targets[0], links),
            matching=["n_cells"],
            q_value=Q_VALUE,
            top_links=options.tf_top,
            seed=options.seed,
            n_jobs=options.threads or os.cpu_count() or 1,
        )
        self.clock.lap("network")
        return network

    def _elements(self) -> tuple[AnnData, str | None]:
        """Return what is drawn under a locus: elements, and the column of cell types where there is one."""
        elements = self.modalities[self.targets[0]]
        key = self.options.label_key
        return elements, key if key is not None and key in elements.obs else None

    def _check_label_key(self) -> None:
        key = self.options.label_key
        if key is not None and not any(key in adata.obs for adata in self.modalities.values()):
            known = sorted({str(column) for adata in self.modalities.values() for column in adata.obs})
            raise InputError(
                f"no modality has a column {key!r} in obs{did_you_mean(key, known)}",
                where="--label-key",
                remedy=f"choose among: {examples(known, 12)}",
            )

    def _check_loci(self, candidates: pd.DataFrame) -> None:
        paired = set(candidates[SOURCE])
        for gene in (each for each in self.options.loci if each not in paired):
            known = gene in self.rna.var_names
            raise InputError(
                f"{gene} has no element near it"
                if known
                else f"{gene} is no gene of the run{did_you_mean(gene, self.rna.var_names)}",
                where="--locus",
                remedy="draw genes that have candidate pairs" if known else "spell genes as the data do",
            )
