"""Boards: which they are, their pins, and the top that puts a design on them. docs/hosts.md says how to use one."""
