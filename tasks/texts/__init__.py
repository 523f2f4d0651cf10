"""A class for a text or a pair of texts, and what all kinds that read texts share."""
