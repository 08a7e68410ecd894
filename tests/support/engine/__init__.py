"""An engine for Amaranth's simulator that runs a whole design as two functions, several times as fast as its own.

Amaranth compiles the combinational statements of a module into one process, which runs again whenever a signal changes
that any of them reads, also where another statement of the same process drives it. Here the statements of all modules
are put in the order in which signals depend on each other, so that one pass settles everything; another pass, of the
statements that registers hang on, runs at the clock edge. Benches, triggers, and the order in which both run, are
Amaranth's. For designs of one clock domain that resets synchronously, without prints and properties.
"""

from tests.support.engine.engine import CompiledEngine

__all__ = ["CompiledEngine"]
