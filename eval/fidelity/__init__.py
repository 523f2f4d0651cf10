"""Fidelity of a student to its teacher, beside its accuracy (docs/fidelity.md)."""
