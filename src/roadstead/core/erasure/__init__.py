"""Erasure: taking away what devices have said and were told, in the background, for many devices at a time."""

from collections.abc import Mapping

from roadstead.core.erasure.service import ERASE, ErasureDraft, erase, request_erasure
from roadstead.core.jobs import Handler

HANDLERS: Mapping[str, Handler] = {ERASE: erase}
"""Who does the jobs of this room, by kind."""

__all__ = ["ERASE", "HANDLERS", "ErasureDraft", "erase", "request_erasure"]
