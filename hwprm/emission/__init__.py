"""Emission: a program as a self-contained bundle of Verilog, ROM images, golden vectors and a manifest."""

from hwprm.bundle import Bundle
from hwprm.emission.emit import emit_bundle
from hwprm.emission.hosts import check_host, host_of
from hwprm.emission.netlist import write_netlist_bundle

__all__ = ["Bundle", "check_host", "emit_bundle", "host_of", "write_netlist_bundle"]
