"""An answer in a context."""
