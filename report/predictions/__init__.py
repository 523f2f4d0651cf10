"""Predictions of a task: confusion, mistakes, submissions."""
