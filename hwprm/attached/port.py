"""A serial port as a `hwprm.attached.host.Line`, by pyserial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hwprm.core.errors import ConfigError, InputError, ToolError

__all__ = ["Port", "open_port"]

#: Seconds for which a read waits for its first byte.
TICK = 0.02


class Port:
    """The open `port`. Reading and writing raise ToolError where it went away."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def read(self) -> bytes:
        """What has come, after a tick at most."""
        try:
            found: bytes = self._port.read(max(1, self._port.in_waiting))
        except OSError as error:  # pyserial's own are of that kind
            raise self._gone(error) from error
        return found

    def write(self, data: bytes, /) -> None:
        """Send all of `data`."""
        try:
            self._port.write(data)
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, error: OSError) -> ToolError:
        return ToolError(
            f"the serial port {self._port.name} failed ({error}); check that the board is still plugged "
            "in, and that no other program reads the port"
        )


@contextmanager
def open_port(name: str, baud: int, patience: float) -> Iterator[Port]:
    """The serial port `name` for this process alone, closed at the end; a write takes `patience` seconds at most.

    Raises ToolError when pyserial is missing or another program has the port, InputError when there is no such port or
    it may not be opened, ConfigError for a rate that it does not have.
    """
    try:
        import serial
    except ModuleNotFoundError:
        raise ToolError("a serial port needs pyserial, which is not installed; pip install 'hwprm[board]'") from None
    try:
        port = serial.Serial(name, baudrate=baud, timeout=TICK, write_timeout=patience, exclusive=True)
    except ValueError as error:
        raise ConfigError(f"board.baud = {baud} is no rate of {name} ({error}); give what emit.baud was") from error
    except OSError as error:
        raise _unopened(name, error) from error
    try:
        yield Port(port)
    finally:
        port.close()


def _unopened(name: str, error: OSError) -> InputError | ToolError:
    """What is wrong with the port `name`, which could not be opened."""
    text = str(error).lower()
    if "lock" in text or "busy" in text:
        return ToolError(f"the serial port {name} is in use; end the program that has it open, such as a terminal")
    if "permission" in text or "access" in text:
        return InputError(
            f"the serial port {name} may not be opened; give yourself the right to, on Linux by becoming a member of "
            "its group (dialout or uucp) and logging in again"
        )
    from serial.tools.list_ports import comports

    found = ", ".join(sorted(port.device for port in comports())) or "none"
    if "no such file" in text or "cannot find" in text or "could not find" in text:
        return InputError(f"there is no serial port {name}; found are: {found}. Check that the board is plugged in")
    return InputError(f"{name} cannot be used as a serial port ({error}); found are: {found}")
