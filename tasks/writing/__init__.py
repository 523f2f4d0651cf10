"""Texts that a model writes: translations, summaries."""
