"""Vectors of texts, to compare them by."""
