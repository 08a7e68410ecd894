"""What the files say that they are, in their key ``format``: readers of one are not always beside its writer.

The number goes up when a reader of the version before would misread the file.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BUNDLE",
    "MODEL",
    "NETWORK",
    "NETWORKS",
    "NETWORK_WITH_GATES",
    "NETWORK_WITH_TABLES",
    "PLAN",
    "PROGRAM",
    "QUALITY",
    "REPORT",
    "ROW",
    "RUN",
    "SILICON",
    "STUDY",
    "WIDTHS",
]

MODEL: Final = "hwprm-model-1"  #: ``model.json``
PLAN: Final = "hwprm-plan-1"  #: ``plan.json``
WIDTHS: Final = "hwprm-widths-1"  #: ``widths.json``
RUN: Final = "hwprm-run-1"  #: ``run.json``, of a run folder
REPORT: Final = "hwprm-report-1"  #: ``report.json``
BUNDLE: Final = "hwprm-bundle-4"  #: ``manifest.json`` of a bundle
PROGRAM: Final = "hwprm-program-2"  #: ``program.json``; the first version did not say
NETWORK: Final = "hwprm-intnet-3"  #: ``network.json`` of an integer network
NETWORK_WITH_TABLES: Final = "hwprm-intnet-4"  #: the same of a network whose layers have tables
NETWORK_WITH_GATES: Final = "hwprm-intnet-5"  #: the same of one whose layers have gates, and tables or none
#: Those that can be read: in the oldest all tensors were signed, which is what a tensor is that does not say.
NETWORKS: Final = (NETWORK, NETWORK_WITH_TABLES, NETWORK_WITH_GATES, "hwprm-intnet-2")
ROW: Final = "hwprm-repro-1"  #: ``result.json`` of a row of a paper's table
QUALITY: Final = "hwprm-quality-1"  #: ``quality.json`` beside an integer network
SILICON: Final = "hwprm-silicon-1"  #: ``silicon.json``
STUDY: Final = "hwprm-study-1"  #: ``study.json`` of an exploration
