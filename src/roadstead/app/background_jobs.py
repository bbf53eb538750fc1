"""Which handlers do which background jobs."""

from collections.abc import Mapping

from roadstead.core import contents, erasure, fleet
from roadstead.core.jobs import Handler
from roadstead.dialects import losant

JOB_HANDLERS: Mapping[str, Handler] = {
    **contents.HANDLERS,
    **erasure.HANDLERS,
    **fleet.HANDLERS,
    **losant.JOB_HANDLERS,
}
"""By kind."""
