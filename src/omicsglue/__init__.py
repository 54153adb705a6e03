"""Graph-linked unified embedding of single-cell multi-omics."""

__version__ = "0.1.0"
