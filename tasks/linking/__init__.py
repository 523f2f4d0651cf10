"""Linking of mentions in a text to the concepts of a dictionary."""
