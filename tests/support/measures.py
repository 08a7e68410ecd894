"""What holds of the cycles of every layer of every network."""

from __future__ import annotations

from hwprm.compiler import CycleReport

__all__ = ["assert_measures"]


def assert_measures(report: CycleReport) -> None:
    """``bound <= cycles <= limit``, layer by layer, and a utilisation that is a share, 0 where only residuals and
    products are left.
    """
    for layer in report.layers:
        assert 0 < layer.bound <= layer.cycles <= layer.limit, layer
        assert 0 <= layer.utilisation(report.rows, report.cols) <= 1
    assert report.bound <= report.total <= report.limit
    assert 0 <= report.utilisation <= 1
