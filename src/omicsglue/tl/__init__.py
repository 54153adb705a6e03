"""Analysis of an integration: regulatory links, their evidence, and networks of transcription factors.

Everything here works on embeddings in AnnData, of omicsglue or of any other method, and never loads torch.
"""

from __future__ import annotations

from omicsglue.genome.evidence import Evidence, read_evidence
from omicsglue.tl.activity import link_activity
from omicsglue.tl.baselines import baseline_scores
from omicsglue.tl.evaluation import evaluate_links
from omicsglue.tl.evidence import evidence_edges, match_evidence
from omicsglue.tl.explained import ExpressionExplained, expression_explained
from omicsglue.tl.links import regulatory_links
from omicsglue.tl.tf_network import TFNetwork, tf_target_network
from omicsglue.tl.tf_validation import read_tf_targets, validate_network
from omicsglue.tl.unified import UnifiedLabels, unify_labels

__all__ = [
    "Evidence",
    "ExpressionExplained",
    "TFNetwork",
    "UnifiedLabels",
    "baseline_scores",
    "evaluate_links",
    "evidence_edges",
    "expression_explained",
    "link_activity",
    "match_evidence",
    "read_evidence",
    "read_tf_targets",
    "regulatory_links",
    "tf_target_network",
    "unify_labels",
    "validate_network",
]
