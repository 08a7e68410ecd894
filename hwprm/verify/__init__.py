"""Verification: the numpy integer reference, simulators, comparison. Runs without torch."""

from hwprm.verify.junit import write_junit
from hwprm.verify.report import Case, VerifyReport
from hwprm.verify.verify import verify_bundle

__all__ = ["Case", "VerifyReport", "verify_bundle", "write_junit"]
