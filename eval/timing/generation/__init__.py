"""Generation of text, timed beside transformers."""
