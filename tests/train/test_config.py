"""Settings of all loops."""

from fractions import Fraction
from pathlib import Path

import pytest

from tests import runs


@pytest.mark.parametrize(
    "epoch", [Fraction(24, 8), Fraction(23, 8), Fraction(100), Fraction(1000, 999)]
)
@pytest.mark.parametrize("hundredths", [7, 30, 100, 250, 1000])
def test_a_run_has_the_fewest_updates_that_cover_its_epochs(epoch, hundredths):
    """In whole numbers; 0.07 times 100 is above 7 in floating point."""
    config = runs.pretrain_config(Path(), steps=None, epochs=hundredths / 100)
    updates = config.updates(epoch)
    assert 100 * updates * epoch.denominator >= hundredths * epoch.numerator
    assert 100 * (updates - 1) * epoch.denominator < hundredths * epoch.numerator


def test_ten_epochs_of_a_thousand_sequences_in_batches_of_999_are_eleven_updates():
    config = runs.pretrain_config(Path(), steps=None, epochs=10.0)
    assert config.updates(Fraction(1000, 999)) == 11
