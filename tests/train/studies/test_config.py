"""Variants crossed with conditions."""

from model.student import choose_layers
from report.study.folder import PublishedDelta
from train.objectives.layer_pairs import layer_pairs
from train.studies.catalogue import STUDIES
from train.studies.config import Variant, crossed

PUBLISHED = PublishedDelta(-1.0, "points")
VARIANTS = (Variant("whole"), Variant("part", {"loss.ce.weight": 0}, "weight 0", PUBLISHED))


def test_every_variant_meets_every_level_of_all_factors():
    masks = {"": {}, "smoothed": {"masking.smoothing": 0.7}}
    clip = {"clip": {}, "no clip": {"optimizer.clip_norm": 1e9, "loss.ce.weight": 3}}
    found = crossed(VARIANTS, masks=masks, clip=clip)
    assert [(each.name, each.against) for each in found] == [
        ("whole, clip", None),
        ("part, clip", "whole, clip"),
        ("whole, no clip", None),
        ("part, no clip", "whole, no clip"),
        ("whole, smoothed, clip", None),
        ("part, smoothed, clip", "whole, smoothed, clip"),
        ("whole, smoothed, no clip", None),
        ("part, smoothed, no clip", "whole, smoothed, no clip"),
    ]
    last = found[-1]
    assert last.settings == {
        "masking.smoothing": 0.7,
        "optimizer.clip_norm": 1e9,
        "loss.ce.weight": 3,  # a condition overrules the variant
    }
    assert (last.about, last.published) == ("weight 0, smoothed, no clip", PUBLISHED)
    assert found[0].about == ""  # so the settings are told
    assert last.levels == {"masks": "smoothed", "clip": "no clip"}


def test_four_starts_meet_four_ways_to_match_hidden_states():
    """Each level is another choice of layers, all of models of twelve and six layers."""
    variants = STUDIES["layers"]().variants
    assert len(variants) == 16
    starts = {v.settings.get("student.layers", "original") for v in variants}
    chosen = [choose_layers(start, 12) for start in starts - {"random"}]
    assert sorted(chosen) == [(0, 1, 2, 3, 4, 5), (0, 2, 4, 7, 9, 11), (6, 7, 8, 9, 10, 11)]
    matched = {v.settings["loss.hidden.layers"] for v in variants if v.levels["matching"]}
    found = {tuple(theirs for _, theirs in layer_pairs(pairs, 6, 12)) for pairs in matched}
    assert found == {(1, 3, 5, 7, 9, 11), (11, 9, 7, 5, 3, 1), (11,) * 6}


def test_table_4_is_measured_under_two_kinds_of_masks_with_the_clip_and_without():
    variants = STUDIES["paper-table-4-crossed"]().variants
    assert len(variants) == 20 and variants[0].name == "triple loss"
    assert {each.against for each in variants} == {
        None, "triple loss", "triple loss, no clip", "triple loss, smoothed masks",
        "triple loss, smoothed masks, no clip",
    }  # fmt: skip
