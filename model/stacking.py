"""A deep model that starts as a shallow one, its layers stacked over and over.

A shallow model learns the same text several times as fast, and what it has learned is a better
start than random weights (Gong et al. 2019, Efficient Training of BERT by Progressively Stacking).
"""

from model.errors import InputError
from model.student import copy_parameters
from model.tasks import MaskedLM


def stack_layers(shallow: MaskedLM, deep: MaskedLM) -> None:
    """Gives `deep` the embeddings and head of `shallow`; its layer i becomes layer i mod depth.

    Raises:
        InputError: the two differ in more than their number of layers.
    """
    depth = shallow.config.num_layers
    ours = shallow.config.replace(num_layers=deep.config.num_layers)
    # What only matters before or outside training may differ.
    free = {"initializer_range": deep.config.initializer_range, "dtype": deep.config.dtype}
    if ours.replace(**free) != deep.config:
        raise InputError(
            f"the model to start from ({shallow.config}) is not a shallow form of the one to train "
            f"({deep.config}): only the number of layers may differ"
        )
    copy_parameters(shallow.backbone.embeddings, deep.backbone.embeddings)
    copy_parameters(shallow.head, deep.head)
    for index, layer in enumerate(deep.backbone.encoder.layers):
        copy_parameters(shallow.backbone.encoder.layers[index % depth], layer)
