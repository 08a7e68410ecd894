"""Structured ADMM, purification, exact unused-path removal, compaction, accounting.

What is here needs numpy only; ADMM, which trains, is in `hwprm.pruning.admm.admm` and needs torch.
"""

from hwprm.pruning.accounting import Accounting, Count, LayerCount, account
from hwprm.pruning.compaction.compaction import compact
from hwprm.pruning.paths.paths import remove_unused_paths
from hwprm.pruning.paths.removals import Kind, Refusal, Removal, Removals, Rule
from hwprm.pruning.prm.purification import purify

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
