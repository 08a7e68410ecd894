"""The verbs that put a design on a board, and run it there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprm.api.hardware import size
from hwprm.core.errors import UnsupportedError

if TYPE_CHECKING:
    from hwprm.attached import BoardReport
    from hwprm.bundle import Bundle
    from hwprm.config import BoardConfig, SiliconConfig
    from hwprm.core.progress import Progress
    from hwprm.targets import OnBoard

__all__ = ["board", "run"]


def board(
    bundle: Bundle | Path | str,
    name: str,
    config: SiliconConfig | None = None,
    *,
    progress: Progress | None = None,
) -> OnBoard:
    """Put `bundle` on the board `name`: a top with its pins and its clock, synthesised, placed and routed.

    The board makes the clock that the bundle's serial line was made for; where the design misses it, that is in the
    result (``missed``), and ``config.bitstream`` is not written. What was made before is kept and not made again.
    ``config.target``, ``clock`` and ``pins`` are the board's own.
    Raises ConfigError for an unknown board, a bundle without a serial line, or a clock that the board cannot make,
    InputError for a design too large for it, BundleError for an incomplete or edited bundle, ToolError when a tool or
    amaranth-boards is missing, or fails.
    """
    from hwprm.bundle import Bundle
    from hwprm.config import SiliconConfig
    from hwprm.core.progress import without_numbers
    from hwprm.targets import build_board, plan_board

    folder = bundle.folder if isinstance(bundle, Bundle) else Path(bundle)
    plan = plan_board(folder, name)
    _check_size(plan.bundle, plan.board.target)
    return build_board(folder, name, SiliconConfig.given(config), without_numbers(progress))


def _check_size(bundle: Bundle, target: str) -> None:
    """Raise InputError where `target` has too few multipliers or block RAMs, which the size model counts exactly."""
    try:
        found = size(bundle, target=target)
    except UnsupportedError:  # a device or a design that has no model: synthesis tells
        return
    if found.too_large and {"dsp", "bram"} & found.over.keys():
        raise found.too_large


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
    Raises what `hwprm.attached.run.run_board` raises, and BundleError for an incomplete or edited bundle.
    """
    from hwprm.attached import check_bundle, run_board
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
