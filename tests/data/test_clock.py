"""Time that has passed."""

import time

from data.clock import TICK, seconds_since


def test_a_clock_that_stands_still_or_goes_back_has_moved_by_a_tick(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: 5.0)
    assert 0 < TICK < 1e-3
    assert (seconds_since(5.0), seconds_since(6.0), seconds_since(3.5)) == (TICK, TICK, 1.5)
