"""Roadstead: an open, self-hosted IoT platform that outlives its vendors."""

from roadstead.kernel.waiting import mend_wait_for

__version__ = "0.1.0"

mend_wait_for()
