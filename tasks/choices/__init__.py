"""The choice that fits a context best, of several that are given."""
