"""The curves of training and pruning as a picture, drawn with matplotlib, which only those who train need."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from hwprm.reporting.curves.axes import axis_of, counted
from hwprm.reporting.curves.panels import KINDS, Curves, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heading", "write_plot"]

#: Of Okabe and Ito, told apart by colour-blind readers too; the seventh of theirs, yellow, is too pale on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
#: Faint lines, and the shades of the kinds of stages.
FAINT, SHADES = "#c4cad1", ("#eef2f8", "#fbeedc", "#e6f3ee")
#: Characters of a line above a panel.
TITLE = 110
#: Inches: width, and height of a panel; dots an inch.
WIDTH, HEIGHT, DPI = 9.0, 2.0, 110


def write_plot(curves: Curves, title: str, target: Path) -> None:
    """Draw `curves` into the PNG file `target`: same curves, same bytes (of one version of matplotlib)."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user has set for other pictures
        matplotlib.rcParams.update({"font.size": 9, "axes.edgecolor": "#56606b", "axes.axisbelow": True})
        count = len(curves.panels)
        figure = Figure(figsize=(WIDTH, HEIGHT * count + 0.7), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
        rows = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
        for axes, panel in zip(rows, curves.panels, strict=True):
            _panel(axes, panel, curves)
        kinds = [kind for kind in KINDS if any(span.kind == kind for span in curves.spans)]
        shades = [Patch(color=SHADES[KINDS.index(kind)], label=kind) for kind in kinds]
        figure.legend(handles=shades, loc="outside upper right", ncols=len(KINDS), frameon=False, fontsize=8)
        rows[-1].set_xlabel("epoch")
        figure.savefig(target, metadata={"Software": None})


def heading(panel: Panel) -> str:
    """What stands above `panel`, in lines that its width holds."""
    return fill("; ".join(filter(None, (panel.title, panel.measured))), TITLE)


def _panel(axes: Axes, panel: Panel, curves: Curves) -> None:
    for span in curves.spans:
        axes.axvspan(span.first - 0.5, span.last + 0.5, color=SHADES[KINDS.index(span.kind)], lw=0, zorder=0)
    for i, line in enumerate(panel.series):
        for number, piece in enumerate(curves.pieces(line.points)):
            axes.plot(
                *zip(*piece, strict=True),
                color=FAINT if line.faint else COLOURS[i % len(COLOURS)],
                lw=1 if line.faint else 1.6,
                marker="o" if len(piece) == 1 or (curves.dotted and not line.faint) else "",
                ms=3,
                zorder=1 if line.faint else 2,
                label=None if number or line.faint else line.name,
            )
    for _, place, value in panel.marks:
        axes.plot([place], [value], "D", color="black", ms=4)
    axes.set_title(heading(panel), loc="left", fontsize=9)
    axes.set_xlim(0.5, curves.places + 0.5)
    axes.set_xticks(list(counted(curves.epochs)))
    scale = axis_of(panel.values, log=panel.log)
    if panel.log:
        axes.set_yscale("log")
        axes.minorticks_off()
    axes.set_ylim(scale.low, scale.high)
    axes.set_yticks(scale.marks, [f"{mark:,.6g}" for mark in scale.marks])
    axes.grid(color="#dfe3e8", lw=0.6)
    if len(panel.series) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, handlelength=1.6)
