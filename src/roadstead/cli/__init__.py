"""`roadstead`: everything a person does with the platform from a terminal."""

import os
import sys
from collections.abc import Callable

from cyclopts import App, Group
from rich.console import Console

from roadstead import __version__
from roadstead.cli import platform
from roadstead.cli.failures import CommandFailed
from roadstead.kernel.errors import RoadsteadError
from roadstead.settings import SettingsError
from roadstead.supervisor.failures import StartError

_FIRST_STEPS = """
**roadstead up** starts it. Then, in another terminal: **roadstead device simulate**, **roadstead device list**.

Commands look for the platform in ROADSTEAD_DATA_DIR (default ./.roadstead). For one that is elsewhere set ROADSTEAD_URL
and ROADSTEAD_API_KEY.
"""

_PLATFORM = Group.create_ordered("The platform")
_FLEET = Group.create_ordered("The fleet")
_ACCESS = Group.create_ordered("Organizations and access")
app = App(
    name="roadstead",
    help="An open, self-hosted IoT platform that outlives its vendors.",
    help_format="markdown",
    help_epilogue=_FIRST_STEPS,
    version=__version__,
)
app["--help"].group = app["--version"].group = Group.create_ordered("Options")
_OF_THE_PLATFORM: list[Callable[..., None]] = [
    platform.up,
    platform.doctor,
    platform.settings,
    platform.migrate,
    platform.run,
]
for _order, _command in enumerate(_OF_THE_PLATFORM):
    app.command(_command, group=_PLATFORM, sort_key=_order, help_epilogue="")
# Loaded when they are used: nobody waits for a database driver to read a page of help.
app.command(
    "roadstead.cli.devices:app",
    name="device",
    help="List, show, register, watch and simulate devices.",
    group=_FLEET,
)
app.command("roadstead.cli.readings:app", name="readings", help="Read what sensors have measured.", group=_FLEET)
app.command(
    "roadstead.cli.tenants:app",
    name="tenant",
    help="List, create, suspend and restore organizations.",
    group=_ACCESS,
    sort_key=0,
)
app.command(
    "roadstead.cli.users:app",
    name="user",
    help="List, create and add people, set passwords.",
    group=_ACCESS,
    sort_key=1,
)
app.command(
    "roadstead.cli.authority:app",
    name="ca",
    help="Show the certificate authority, keep its root's key elsewhere.",
    group=_ACCESS,
    sort_key=3,
)
app.command("roadstead.cli.keys:app", name="key", help="List, create and revoke API keys.", group=_ACCESS, sort_key=2)


def main() -> None:
    """Run a command; what went wrong is one line on standard error and exit code 1, never a trace."""
    try:
        app(sys.argv[1:])
    except (CommandFailed, RoadsteadError, SettingsError, StartError) as error:
        fail(str(error))
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def fail(message: str) -> None:
    """Say what went wrong and end."""
    console = Console(stderr=True)
    console.print("[red]error:[/red]", end=" ")
    console.print(message, highlight=False, markup=False, soft_wrap=True)
    sys.exit(1)
