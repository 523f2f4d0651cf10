"""Texts that models make up, and how diverse they are."""
