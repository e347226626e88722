"""Loaders of research corpora, one module each; the data stay where they are."""
