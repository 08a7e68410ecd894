"""Emission: a program as a self-contained bundle of Verilog, ROM images, golden vectors and a manifest."""

from hwprm.bundle import Bundle
from hwprm.emit.emit import core_verilog, emit_bundle

__all__ = ["Bundle", "core_verilog", "emit_bundle"]
