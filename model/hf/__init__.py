"""Formats of Hugging Face: configuration, tensor names, files."""
