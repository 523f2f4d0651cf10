"""Layers that BERT and DistilBERT share."""
