"""DistilBERT (Sanh et al. 2019): the student.

BERT's embeddings, attention and feed-forward in half the layers, without token types, pooler, and
dropout on the attention output. The configuration leaves these out (`EncoderConfig.distilled`), so
the class needs no code: that is the point of the architecture.
"""

from model.backbone import Backbone


class DistilBert(Backbone):
    """The DistilBERT encoder."""

    architecture = "distilbert"
