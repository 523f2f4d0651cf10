"""Formats of task data: files in, rows out."""
