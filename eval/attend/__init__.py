"""Attention maps of models for one text: as arrays, as a picture and as a page."""
