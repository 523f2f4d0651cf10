"""Studies: variants of a distillation trained side by side."""
