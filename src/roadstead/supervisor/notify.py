"""How a role tells its supervisor that it is ready."""

import os
from collections.abc import MutableMapping

VARIABLE = "ROADSTEAD_NOTIFY_FD"
MESSAGE = b"READY\n"


def ready(environment: MutableMapping[str, str] | None = None) -> None:
    """Say it when the role does what it is there for. Nothing happens without a supervisor, or the second time."""
    environment = os.environ if environment is None else environment
    number = environment.pop(VARIABLE, "")
    if not number.isdigit():
        return
    try:
        with os.fdopen(int(number), "wb") as pipe:
            pipe.write(MESSAGE)
    except OSError:  # the supervisor has gone; whoever started us next will see to us
        return
