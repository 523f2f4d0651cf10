"""What holds for every test of training: no picture is drawn, those of tests/report are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from report import plots
from report.study import plots as study_plots


@pytest.fixture(scope="package", autouse=True)
def no_pictures() -> Iterator[None]:
    """Empty files in their places: to draw three takes nearly as long as a small run."""

    def not_drawn(path: Path, *_: Any, **__: Any) -> None:
        path.write_bytes(b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plot_panels", not_drawn)
        patch.setattr(study_plots, "draw_differences", not_drawn)
        patch.setattr(study_plots, "draw_curves", not_drawn)
        yield
