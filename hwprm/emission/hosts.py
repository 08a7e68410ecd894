"""Hosts as the options name them, and what they cannot serve."""

from __future__ import annotations

from hwprm.config.emit import EmitConfig
from hwprm.core.errors import ConfigError
from hwprm.isa.hosts import Host

__all__ = ["check_host", "host_of"]


def host_of(emit: EmitConfig) -> Host:
    """The host that `emit` asks for."""
    if emit.host != "uart":
        return Host(kind=emit.host)
    return Host(kind=emit.host, divider=emit.divider, silence=emit.silence_cycles, clock=emit.clock, baud=emit.baud)


def check_host(host: Host, *, external: bool, batch: int) -> None:
    """Raise ConfigError where `host` has no registers, and a design with `external` weights or a `batch` needs some."""
    if host.registers:
        return
    if external:
        raise ConfigError(
            f"emit.host = {host.kind} has no registers, and external weights need one that says where they lie; keep "
            "them on the chip with array.weights = rom, or take emit.host = axi"
        )
    if batch > 1:
        raise ConfigError(
            f"emit.host = {host.kind} has no registers, and a batch needs one that says when to start with fewer than "
            f"{batch} images; take array.batch = 1, or emit.host = axi"
        )
