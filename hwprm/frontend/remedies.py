"""What to do about operators that people use and hwprm does not support."""

from __future__ import annotations

from collections.abc import Mapping

from hwprm.graph import OPERATORS

__all__ = ["REMEDIES"]

#: What to do about operators that people use and hwprm does not support, by operator name without overload: what
#: supported ones say that they can stand for, and the rest.
REMEDIES: Mapping[str, str] = {
    **{name: remedy for kind in OPERATORS.values() for name, remedy in kind.replaces.items()},
    **dict.fromkeys(("_native_batch_norm_legit_functional", "native_dropout"), "call model.eval() before exporting"),
}
