"""Tests of hwprm.board."""
