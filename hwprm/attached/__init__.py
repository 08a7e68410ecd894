"""A design on a board behind a serial port: frames of images out, results in, measured and compared."""

from hwprm.attached.report import BoardReport
from hwprm.attached.run import check_bundle, run_board

__all__ = ["BoardReport", "check_bundle", "run_board"]
