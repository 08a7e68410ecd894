"""Every error that hwprm raises on purpose.

::

    HwprmError
    ├── MismatchError        exit 1   integers that should be equal are not
    │   └── PassError                 a pass of the compiler changed what a network computes
    ├── InputError           exit 2   bad file, option, value or data
    │   ├── DataError                 a data set is truncated, mislabelled, of the wrong shape
    │   ├── ModelError                a network is malformed, not finite, pruned to nothing
    │   ├── ConfigError               an option or key is unknown or out of range
    │   └── BundleError               a bundle is incomplete or was edited
    ├── UnsupportedError     exit 3   an operator or attribute outside the supported set
    ├── ToolError            exit 3   a simulator or compiler is missing, too old, or failed
    └── TimingError          exit 4   place and route did not reach the clock asked for

A message says what is wrong, why, and how to mend it, in that order.
"""

__all__ = [
    "BundleError",
    "ConfigError",
    "DataError",
    "HwprmError",
    "InputError",
    "MismatchError",
    "ModelError",
    "PassError",
    "TimingError",
    "ToolError",
    "UnsupportedError",
]


class HwprmError(Exception):
    """Base of all deliberate errors; `exit_code` is what the command line returns."""

    exit_code = 2


class MismatchError(HwprmError):
    """Two integer results that must be equal differ; the text names layer, index, expected and got."""

    exit_code = 1


class PassError(MismatchError):
    """A pass of the compiler broke a rule, or changed an integer: a fault of hwprm. `name` is that of the pass."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"the compiler's pass {name} {what}; this is a fault of hwprm, please report it")
        self.name = name


class InputError(HwprmError):
    """Something the user gave is wrong."""

    exit_code = 2


class DataError(InputError):
    """A data set cannot be used."""


class ModelError(InputError):
    """A network cannot be used."""


class ConfigError(InputError):
    """An option is unknown, contradictory or out of range."""


class BundleError(InputError):
    """A bundle is incomplete, edited or of another version."""


class UnsupportedError(HwprmError):
    """The network uses something the compiler does not support; `nodes` names each node and what is wrong with it."""

    exit_code = 3

    def __init__(self, message: str, nodes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.nodes = nodes


class ToolError(HwprmError):
    """An external tool is missing, too old or failed."""

    exit_code = 3


class TimingError(HwprmError):
    """Place and route missed the requested clock."""

    exit_code = 4
