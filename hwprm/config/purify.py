"""P-RM: what network purification may remove (Ma et al., Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Ge, Interval

from hwprm.config.kinds import Recalibrate, Share
from hwprm.config.section import Section

__all__ = ["PurifyConfig"]

#: A squared norm.
Threshold = Annotated[float, Ge(0)]


@dataclass(frozen=True, kw_only=True)
class PurifyConfig(Section, section="purify"):
    """Thresholds of purification, or how to find them. All norms are squared, as in the paper."""

    mode: Annotated[
        Literal["auto", "absolute"],
        Doc(
            "auto (thresholds found against an accuracy floor) or absolute (th1, th3 and th4 as given, for all layers)."
        ),
    ] = "auto"
    reading: Annotated[
        Literal["extended", "literal"],
        Doc(
            "How Algorithm 1 is read: extended (columns below th1 go, a channel is judged by the others) or literal "
            "(they stay, and their mean squared norm alone judges their channel)."
        ),
    ] = "extended"
    th1: Annotated[Threshold, Doc("absolute: columns with a squared norm below this are removed; 0 removes none.")] = (
        0.0
    )
    th2: Annotated[
        Share, Doc("Channels with a smaller share of columns left, and below th3 too, are removed; 0 removes none.")
    ] = 0.5
    th3: Annotated[
        Threshold,
        Doc("absolute: importance (mean squared column norm) below which a channel may be removed; 0 removes none."),
    ] = 0.0
    th4: Annotated[Threshold, Doc("absolute: filters with a squared norm below this are removed; 0 removes none.")] = (
        0.0
    )
    scale: Annotated[
        Literal["quantile", "median"],
        Doc("auto: thresholds are a quantile of each layer's norms, or a share of their median."),
    ] = "quantile"
    drop: Annotated[
        float, Interval(ge=0, le=100), Doc("auto: points of validation accuracy that purification may cost.")
    ] = 0.5
    confidence: Annotated[
        float,
        Interval(ge=0.5, le=0.999),
        Doc(
            "auto: how sure it has to be that purification costs no more than `drop` on other images too, by those "
            "that turn right and wrong; 0.5 takes the drop as it was measured."
        ),
    ] = 0.95
    steps: Annotated[
        int,
        Interval(ge=1, le=30),
        Doc("auto: bisection steps for each of columns, channels and filters; each costs one accuracy measurement."),
    ] = 6
    recalibrate: Annotated[
        Recalibrate,
        Doc(
            "Training images, augmented as in the last training where the model knows how, that batch norms take new "
            "statistics from afterwards: what was removed no longer adds to "
            "the sums that they know. 0 keeps the old ones."
        ),
    ] = 0
    inexact: Annotated[
        Literal["keep", "refuse"],
        Doc("Blank filters whose constant cannot be folded exactly: keep them, or refuse the network."),
    ] = "keep"
