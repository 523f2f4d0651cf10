"""Objectives: losses and the terms made of them."""
