"""`python -m roadstead` is `roadstead`."""

from roadstead.cli import main

main()
