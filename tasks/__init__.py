"""Labelled tasks; each kind of task is a room of its own."""
