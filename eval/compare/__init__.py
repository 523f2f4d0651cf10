"""Runs and studies side by side."""
