"""`python -m hwprm`: the same as the `hwprm` command."""

from hwprm.cli.app import main

main()
