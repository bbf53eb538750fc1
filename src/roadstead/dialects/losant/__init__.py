"""The Losant dialect: applications, devices, state, data, commands, events, keys, tokens (contract losant)."""

from roadstead.dialects.losant import archive_jobs, bundle_jobs, command_jobs, device_files, event_jobs
from roadstead.dialects.losant.app import create_app
from roadstead.dialects.losant.downlinks import LosantSpeller
from roadstead.dialects.losant.throttles import Rates
from roadstead.dialects.losant.wire import LosantCodec

JOB_HANDLERS = {
    **archive_jobs.HANDLERS,
    **bundle_jobs.HANDLERS,
    **command_jobs.HANDLERS,
    **device_files.HANDLERS,
    **event_jobs.HANDLERS,
}
"""Of background jobs, by kind."""

__all__ = ["JOB_HANDLERS", "LosantCodec", "LosantSpeller", "Rates", "create_app"]
