"""The verb that runs a design on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwprm.board import BoardReport
    from hwprm.bundle import Bundle
    from hwprm.config import BoardConfig
    from hwprm.core.progress import Progress

__all__ = ["run"]


def run(
    bundle: Bundle | Path | str,
    data: Any = None,
    config: BoardConfig | None = None,
    *,
    progress: Progress | None = None,
) -> BoardReport:
    """Send images to the board on ``config.port`` that holds the design of `bundle`, and compare every result.

    Images are the test images of `data`, quantised for the network, or the bundle's own where none is given. Wrong
    values are in the report (``ok``, ``raise_on_failure()``).
    Raises what `hwprm.board.run.run_board` raises, and BundleError for an incomplete or edited bundle.
    """
    from hwprm.board import check_bundle, run_board
    from hwprm.bundle import Bundle
    from hwprm.config import BoardConfig
    from hwprm.intnet import quantize_images
    from hwprm.sources import as_dataset

    found = bundle if isinstance(bundle, Bundle) else Bundle.load(Path(bundle))
    config = BoardConfig.given(config)
    check_bundle(found, config)  # before a data set is read
    part = slice(config.images)
    if data is None:
        labels = found.labels
        return run_board(found, found.images[part], None if labels is None else labels[part], config, progress)
    dataset = as_dataset(data)
    images = quantize_images(dataset.x_test[part], dataset.input_scale, found.network)
    labels = dataset.test_labels
    return run_board(found, images, None if labels is None else labels[part], config, progress)
