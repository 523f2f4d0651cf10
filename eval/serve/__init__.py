"""A model behind HTTP: what it can do with texts, asked and answered in JSON."""
