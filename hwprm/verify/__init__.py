"""Verification: the numpy integer reference, simulators, comparison. Runs without torch."""
