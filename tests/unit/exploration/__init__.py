"""Tests of `hwprm.exploration`."""
