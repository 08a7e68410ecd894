"""Tests of hwprm.attached."""
