"""Decoders: models that write text, and how they write it."""
