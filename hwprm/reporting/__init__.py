"""Results as plain facts and as tables for a terminal."""

from hwprm.reporting.facts.facts import bundle_facts, cycle_facts, describe, model_facts, network_facts, verify_facts
from hwprm.reporting.facts.run import run_facts
from hwprm.reporting.tables import overview, tables

__all__ = [
    "bundle_facts",
    "cycle_facts",
    "describe",
    "model_facts",
    "network_facts",
    "overview",
    "run_facts",
    "tables",
    "verify_facts",
]
