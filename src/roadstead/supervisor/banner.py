"""What `roadstead up` says when everything runs."""

import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from roadstead.settings import Settings
from roadstead.supervisor.platform import Started

_DANGER = "DANGER"


def show(started: Started, console: Console | None = None) -> None:
    """Print where to go: a panel for people at a terminal, the same lines bare for a log."""
    console = console or Console(highlight=False)
    title = f"Roadstead is ready ({started.took_s:.1f} s)"
    found = lines(started)
    if not console.is_terminal:
        width = max(len(name) for name, _ in found)
        for line in (title, *(f"{name:<{width}}  {text}" for name, text in found)):
            console.print(line, markup=False, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in found:
        table.add_row(name, text, style="bold red" if name == _DANGER else None)
    colour = "red" if started.warnings else "green"
    console.print(Panel(table, title=title, border_style=colour, expand=False))


def lines(started: Started) -> list[tuple[str, str]]:
    """Title and text of each line, in order."""
    settings, owner = started.settings, started.owner
    mqtt = [
        (str(settings.mqtt.port), settings.mqtt.port),
        (f"{settings.mqtts.port} (TLS)", settings.mqtts.port),
        (f"{settings.mqtt_websocket.port} (WebSocket, path /mqtt)", settings.mqtt_websocket.port),
    ]
    docs = [("API docs", f"{settings.url}/api/docs")] if settings.expose_api_docs else []
    https = [("API for devices", f"port {settings.https.port} (TLS)")] if settings.https.port else []
    return [
        ("Start page, API", settings.url),
        *docs,
        *https,
        ("MQTT", "ports " + ", ".join(text for text, port in mqtt if port)),
        ("Sign in", owner.email),
        ("Password, key", f"{owner.credentials}{' (just written)' if owner.is_new else ''}"),
        ("Logs", str(settings.data_dir / "logs")),
        ("Try next", f"{_command(settings)} device simulate --devices 20"),
        ("Stop", "Ctrl-C"),
        *((_DANGER, f"{finding.name}: {finding.detail}; {finding.advice}") for finding in started.warnings),
    ]


def _command(settings: Settings) -> str:
    """What to type for `roadstead` in another terminal, in this directory."""
    program = Path(sys.argv[0])
    if shutil.which("roadstead"):
        command = "roadstead"
    else:
        command = str(program) if program.name == "roadstead" else f"{sys.executable} -m roadstead"
    is_default = settings.data_dir == Settings().data_dir.absolute()
    return command if is_default else f"ROADSTEAD_DATA_DIR={shlex.quote(str(settings.data_dir))} {command}"
