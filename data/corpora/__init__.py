"""Corpora: files, folders, hub sets and the documentation on this machine."""
