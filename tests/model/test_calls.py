"""Calls of a model that are not meant for it: a sentence with the right form."""

import jax.numpy as jnp
import numpy as np
import pytest

from model import InputError, MaskedLM
from model.calls import check_call
from tests.small import BERT, build, call, tokens

IDS = np.zeros((2, 3), np.int32)


@pytest.mark.parametrize(
    ("ids", "others", "sentence"),
    [
        (IDS, {"output_attentions": True}, r'no argument .*: pass outputs=\("attentions",\)$'),
        (IDS, {"output_hidden_states": True}, r'pass outputs=\("hidden_states",\)$'),
        (IDS, {"return_dict": True}, r"pass nothing: .* output\.logits$"),
        (
            IDS,
            {"attention_masks": IDS},
            r"no argument attention_masks: did you mean attent",
        ),
        (IDS, {"outputs": ("attention",)}, r"no output attention: did you mean attentions\?$"),
        (IDS, {"outputs": "scores"}, r'write outputs=\("scores",\)$'),
        ("text", {}, r"reads an array of token ids, .* python -m eval\.predict"),
        (["a", "b"], {}, r"reads an array of token ids"),
        (IDS.astype(np.float32), {}, r"reads an array of token ids"),
        (IDS[0], {}, r"has the shape \(3,\), .*: write input_ids\[None\] for one row$"),
        (IDS[None], {}, r"has the shape \(1, 2, 3\), and should be \[batch, length\]$"),
    ],
)
def test_a_wrong_call_gets_the_right_form(ids, others, sentence):
    outputs = others.pop("outputs", ())
    with pytest.raises(InputError, match=sentence):
        check_call(ids, outputs, others)


def test_a_model_checks_how_it_is_called():
    check_call(jnp.asarray(IDS), ("attentions", "scores"), {})
    with pytest.raises(InputError, match="no argument output_attentions"):
        call(build(MaskedLM, BERT), tokens(), output_attentions=True)
