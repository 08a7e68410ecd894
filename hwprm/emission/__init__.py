"""Emission: a program as a self-contained bundle of Verilog, ROM images, golden vectors and a manifest."""

from hwprm.bundle import Bundle
from hwprm.emission.emit import emit_bundle
from hwprm.emission.netlist import write_netlist_bundle

__all__ = ["Bundle", "emit_bundle", "write_netlist_bundle"]
