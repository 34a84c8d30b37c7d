"""`python -m xfer.cli`: the program, where the script is not on the path."""

from xfer.cli.app import entry

entry()
