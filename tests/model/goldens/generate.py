"""Writes bert.npz and distilbert.npz: small random models of transformers and what they answer.

Run again only when the set of models grows: python -m tests.model.goldens.generate

Each file holds the encoder's tensors, which all models share (`encoder/...`), and for every class
(`BertForMaskedLM/...`) its configuration, the names of all its tensors, the tensors of its head, a
batch, its outputs, and for masked LM the loss and its gradients.
"""

from pathlib import Path

import numpy as np
import torch
import transformers

CLASSES = {
    "bert": (
        "BertModel",
        "BertForMaskedLM",
        "BertForPreTraining",
        "BertForNextSentencePrediction",
        "BertForSequenceClassification",
        "BertForMultipleChoice",
        "BertForTokenClassification",
        "BertForQuestionAnswering",
        "BertLMHeadModel",
    ),
    "distilbert": (
        "DistilBertModel",
        "DistilBertForMaskedLM",
        "DistilBertForSequenceClassification",
        "DistilBertForMultipleChoice",
        "DistilBertForTokenClassification",
        "DistilBertForQuestionAnswering",
    ),
}
# Everything that could be mixed up has a size, or a rate, of its own.
SHARED = {
    "vocab_size": 61,
    "max_position_embeddings": 14,
    "initializer_range": 0.2,
}
_LABELS = ("person", "place", "other")
CONFIGS = {
    "bert": {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "hidden_dropout_prob": 0.11,
        "attention_probs_dropout_prob": 0.12,
        "classifier_dropout": 0.13,
    },
    "distilbert": {
        "dim": 24,
        "n_layers": 2,
        "n_heads": 3,
        "hidden_dim": 40,
        "dropout": 0.11,
        "attention_dropout": 0.12,
        "seq_classif_dropout": 0.13,
    },
}


def random_model(name: str, seed: int = 0, **changes):
    """A model whose biases and LayerNorms are random too, so that none is trivially right."""
    kind = getattr(transformers, name)
    architecture = kind.config_class.model_type
    decodes = {"is_decoder": True} if name == "BertLMHeadModel" else {}
    config = kind.config_class(**SHARED | CONFIGS[architecture] | decodes | changes)
    if name.endswith(("SequenceClassification", "TokenClassification")):
        config.id2label = dict(enumerate(_LABELS))
        config.label2id = {label: index for index, label in enumerate(_LABELS)}
    torch.manual_seed(seed)
    return randomise(kind(config), config.initializer_range)


def randomise(model, scale: float):
    """The model with new weights, of this size in matrices."""
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.dim() == 1:
                is_scale = "norm" in key.lower() and key.endswith("weight")
                parameter.normal_(1.0 if is_scale else 0.0, 0.1)
            else:
                parameter.normal_(0.0, scale)
    return model.eval()


def random_batch(name: str, seed: int = 0, rows: int = 3, length: int = 11, vocab: int = 61):
    """Arguments of a model's call: rows of different lengths, padded."""
    random = np.random.default_rng(seed)
    shape = (2, rows, length) if "MultipleChoice" in name else (rows, length)
    lengths = random.integers(length // 2, length + 1, shape[:-1])
    lengths.flat[0] = length
    mask = (np.arange(length) < lengths[..., None]).astype(np.int64)
    # 0 is the padding, and as such gets no gradient in torch: it is never a real token.
    batch = {"input_ids": random.integers(1, vocab, shape) * mask, "attention_mask": mask}
    if not name.startswith("Distil"):
        batch["token_type_ids"] = random.integers(0, 2, shape)
    return batch


def random_labels(batch: dict[str, np.ndarray], seed: int = 0, vocab: int = 61) -> np.ndarray:
    """Tokens to predict at about every third position, -100 (ignored) elsewhere."""
    random = np.random.default_rng(seed)
    shape = batch["input_ids"].shape
    chosen = (random.random(shape) < 0.3) & (batch["attention_mask"] == 1)
    return np.where(chosen, random.integers(0, vocab, shape), -100)


def answer(model, batch: dict[str, np.ndarray], **options):
    """A model's outputs as numpy arrays, by transformers' names; tuples are numbered."""
    tensors = {key: torch.from_numpy(value) for key, value in batch.items()}
    with torch.no_grad():
        outputs = model(**tensors, output_hidden_states=True, **options)
    arrays = {}
    for key, value in outputs.items():
        if key == "past_key_values":  # a decoder's cache
            continue
        if isinstance(value, tuple):
            arrays |= {f"{key}.{index}": item.numpy() for index, item in enumerate(value)}
        else:
            arrays[key] = value.numpy()
    return arrays


def masked_lm_gradients(model, batch: dict[str, np.ndarray], labels: np.ndarray):
    """The mean masked-LM loss and its gradient for every tensor, each tied one once."""
    model.zero_grad()
    tensors = {key: torch.from_numpy(value) for key, value in batch.items()}
    loss = model(**tensors, labels=torch.from_numpy(labels)).loss
    loss.backward()
    return loss.item(), {
        name: parameter.grad.numpy().copy()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def golden(architecture: str) -> dict[str, np.ndarray]:
    """All arrays of one file."""
    base, *others = CLASSES[architecture]
    model = random_model(base)
    encoder = {f"{architecture}.{name}": value for name, value in model.state_dict().items()}
    arrays = {f"encoder/{name}": value.numpy() for name, value in encoder.items()}
    arrays |= _answers(base, model, list(encoder))
    for seed, name in enumerate(others, start=1):
        model = random_model(name, seed=seed)
        own = model.state_dict()
        model.load_state_dict(encoder, strict=False)
        # What is tied to another tensor is not stored, as in the files of transformers.
        names = [key for key in own if key not in (model._tied_weights_keys or {})]
        arrays |= {f"{name}/{key}": own[key].numpy() for key in names if key not in encoder}
        arrays |= _answers(name, model, names)
    return arrays


def _answers(name: str, model, names: list[str]) -> dict[str, np.ndarray]:
    batch = random_batch(name)
    arrays = {f"{name}/names": np.array(names)}
    arrays[f"{name}/config"] = np.array(model.config.to_json_string())
    arrays |= {f"{name}/batch/{key}": value for key, value in batch.items()}
    # The hidden states are those of the encoder, the same below every head.
    keep_hidden = name.endswith("Model")
    for key, value in answer(model, batch).items():
        if keep_hidden or not key.startswith("hidden_states"):
            arrays[f"{name}/output/{key}"] = value
    if name.endswith("MaskedLM"):
        labels = random_labels(batch)
        loss, gradients = masked_lm_gradients(model, batch, labels)
        arrays |= {f"{name}/labels": labels, f"{name}/loss": np.array(loss, np.float32)}
        arrays |= {f"{name}/gradient/{key}": value for key, value in gradients.items()}
    return arrays


if __name__ == "__main__":
    for architecture in CLASSES:
        file = Path(__file__).with_name(f"{architecture}.npz")
        np.savez_compressed(file, allow_pickle=False, **golden(architecture))
        print(f"{file}: {file.stat().st_size / 1024:.0f} kB")
