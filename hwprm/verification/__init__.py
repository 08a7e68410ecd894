"""Verification: the numpy integer reference, simulators, comparison. Runs without torch."""

from hwprm.verification.results.junit import write_junit
from hwprm.verification.results.report import Case, VerifyReport
from hwprm.verification.verify import verify_bundle

__all__ = ["Case", "VerifyReport", "verify_bundle", "write_junit"]
