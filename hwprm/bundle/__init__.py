"""Bundles: a design in a folder, its manifest, and its test images. Needs neither torch nor amaranth."""

from hwprm.bundle.bundle import MANIFEST, SEAL, Bundle, hash_file

__all__ = ["MANIFEST", "SEAL", "Bundle", "hash_file"]
