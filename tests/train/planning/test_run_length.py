"""The number of updates of a recipe, from sizes that are given with it."""

from dataclasses import replace

from train.planning.run_length import EXAMPLES, TOKENS, run_length
from train.recipes import DISTILL, FINETUNE, PRETRAIN


def test_every_recipe_of_published_data_has_a_length():
    for recipe in [*PRETRAIN.values(), *DISTILL.values()]:
        config = recipe()
        known = config.steps is not None or all(name in TOKENS for name in config.data.corpus)
        assert (run_length(config, None, 128).updates is not None) == known
    for name in EXAMPLES:
        assert run_length(FINETUNE[name](), None, 128).updates is not None


def test_the_updates_of_distilbert_are_those_of_its_docstring():
    recipe = DISTILL["distilbert-base-uncased"]()
    lines = run_length(recipe, None, 128)
    assert lines.updates == 21_918  # about 22,000: 3.83 B tokens, three times, by 4096 x 128
    assert lines.tokens_a_sequence == 128
    assert "3.83 B tokens" in lines.because
    packed = run_length(replace(recipe, data=replace(recipe.data, mode="packed")), None, 128)
    assert packed.updates == 5_502
    assert packed.tokens_a_sequence == 512


def test_a_number_of_sequences_counts_more_and_steps_most():
    recipe = FINETUNE["sst2"]()
    assert run_length(recipe, None, 128).updates == 3 * 2105  # 67,349 sentences by 32
    assert run_length(recipe, 320, 128).updates == 30
    assert run_length(replace(recipe, steps=7), 320, 128).updates == 7
    own = run_length(FINETUNE["classification"](), None, 128)
    assert own.updates is None
    assert "--sequences" in own.because
