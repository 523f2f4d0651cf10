"""DistilBERT (Sanh et al. 2019): the student.

BERT's embeddings, attention and feed-forward in half the layers. What is gone: token types, the
pooler, and dropout on the attention output. All three are fields of the configuration
(`EncoderConfig.distilled`), so there is no code here: that is the point of the architecture.
"""

from model.backbone import Backbone


class DistilBert(Backbone):
    """The DistilBERT encoder."""

    architecture = "distilbert"
