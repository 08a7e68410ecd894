"""Structured ADMM, purification, exact unused-path removal, compaction, accounting.

What is here needs numpy only; ADMM, which trains, is in `hwprm.prune.admm` and needs torch.
"""

from hwprm.prune.accounting import Accounting, Count, LayerCount, account
from hwprm.prune.compaction import compact
from hwprm.prune.paths import remove_unused_paths
from hwprm.prune.purification import purify
from hwprm.prune.removals import Kind, Refusal, Removal, Removals, Rule

__all__ = [
    "Accounting",
    "Count",
    "Kind",
    "LayerCount",
    "Refusal",
    "Removal",
    "Removals",
    "Rule",
    "account",
    "compact",
    "purify",
    "remove_unused_paths",
]
