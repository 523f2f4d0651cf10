"""Texts of anyone's for a model, and what it says about them."""
