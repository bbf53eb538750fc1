"""`roadstead up`, `run`, `migrate`, `settings`, `doctor`: the platform itself.

What they need is imported inside them: nobody who looks at the settings waits for a database driver.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from roadstead.cli.output import AsJson, say, show_json, show_table
from roadstead.settings import Setting, Settings, SettingsError, all_settings, read_settings

Unsafe = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Start also on servers that can lose what they have acknowledged. For experiments.",
    ),
]


def up(*, unsafe: Unsafe = False) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    Everything is kept in ROADSTEAD_DATA_DIR. With ROADSTEAD_DATABASE_URL, ROADSTEAD_NATS_URL or
    ROADSTEAD_CLICKHOUSE_URL existing servers are used instead of the embedded ones.
    """
    import structlog

    from roadstead import app as composition
    from roadstead.app.logs import forgiving
    from roadstead.supervisor import banner
    from roadstead.supervisor.datadir import DataDir
    from roadstead.supervisor.platform import Owner
    from roadstead.supervisor.platform import up as supervise

    async def prepare(settings: Settings) -> Owner:
        owner = await composition.prepare(settings)
        return Owner(owner.email, DataDir(settings.data_dir).credentials, owner.is_new)

    structlog.configure(logger_factory=structlog.WriteLoggerFactory(forgiving(sys.stderr)))
    asyncio.run(supervise(_read_settings(unsafe=unsafe), prepare, announce=banner.show))


def run(
    role: Annotated[Literal["api", "gateway", "store", "worker"], Parameter(help="What this process does.")],
    *,
    unsafe: Unsafe = False,
) -> None:
    """Run one role in the foreground.

    For a platform of several machines: ROADSTEAD_DATABASE_URL, ROADSTEAD_NATS_URL and ROADSTEAD_CLICKHOUSE_URL name
    the servers. On one machine 'roadstead up' runs all roles.
    """
    import uvloop

    from roadstead import app as composition
    from roadstead.supervisor import notify
    from roadstead.supervisor.durability import await_durability
    from roadstead.supervisor.wiring import read_wiring

    settings = _read_settings(unsafe=unsafe)
    wiring = read_wiring(os.environ)
    store = (wiring.store.port, wiring.store.password) if wiring.store else None
    if wiring.notify_fd is None:  # else the supervisor has seen to it
        asyncio.run(await_durability(settings))
    uvloop.run(composition.run_role(role, settings, store=store, ready=notify.ready))


def migrate() -> None:
    """Bring the database to the schema of this version.

    The one that is running, or the one in the data directory, which is started for this. 'roadstead up' does it by
    itself.
    """
    from roadstead.db import migrate as migrate_database
    from roadstead.supervisor.servers import at_hand

    async def bring() -> list[str]:
        async with at_hand(read_settings()) as settings:
            return await asyncio.to_thread(migrate_database, settings.database_url)

    applied = asyncio.run(bring())
    say("applied: " + ", ".join(applied) if applied else "the database is up to date")


def settings(
    *,
    as_file: Annotated[
        bool,
        Parameter(
            name="--print",
            negative="",
            show_default=False,
            help="Print a settings file (TOML) for ROADSTEAD_CONFIG instead.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show every setting: its variable, its value, what it is for.

    Values come from the environment, else from the file that ROADSTEAD_CONFIG names, else they are the defaults.
    Secrets are not shown.
    """
    tree = read_settings()
    if as_json:
        rows = [(one.variable, _value(tree, one), one.help.text) for one in all_settings()]
        show_json([{"variable": variable, "value": value, "help": help_} for variable, value, help_ in rows])
    elif as_file:
        print("\n".join(_toml(tree)))
    else:
        for one in all_settings():
            value = _value(tree, one)
            say(Text.assemble((one.variable, "bold"), f"={value}\n", (f"    {one.help.text}", "dim")))


def doctor(*, as_json: AsJson = False) -> None:
    """Check versions, ports, disk, servers and clocks.

    Says what to do about what is not right. Exit code 1: something must be mended.
    """
    from roadstead.supervisor.doctor import examine, examine_refused
    from roadstead.supervisor.findings import Verdict

    colours = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}
    try:
        findings = asyncio.run(examine(read_settings()))
    except SettingsError as error:
        findings = examine_refused(error.problems)
    if as_json:
        show_json([{"name": f.name, "verdict": f.verdict, "detail": f.detail, "advice": f.advice} for f in findings])
    else:
        table = Table("", "check", "what was found", box=None, header_style="bold", pad_edge=False)
        for finding in findings:
            advice = (f"\n{finding.advice}", "italic") if finding.advice else ""
            text = Text.assemble(finding.detail, advice)
            table.add_row(Text(finding.verdict, colours[finding.verdict]), finding.name, text)
        show_table(table, folds=True)
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        sys.exit(1)


def _read_settings(*, unsafe: bool) -> Settings:
    settings = read_settings()
    return msgspec.structs.replace(settings, unsafe=settings.unsafe or unsafe)


def _toml(settings: Settings) -> Iterator[str]:
    """A settings file with these values; secrets are left to whoever fills it in."""
    section = ""
    for one in sorted(all_settings(), key=lambda one: len(one.path) > 1):  # what stands above the sections first
        *above, name = one.path
        if ".".join(above) != section:
            section = ".".join(above)
            yield f"\n[{section}]"
        yield f"# {one.help.text}"
        yield f'# {name} = ""' if one.help.secret else f"{name} = {json.dumps(_find(settings, one), default=str)}"


def _value(settings: Settings, setting: Setting) -> str:
    value = _find(settings, setting)
    if isinstance(value, bool):
        return str(value).lower()
    return "(set)" if setting.help.secret and value else str(value)


def _find(settings: Settings, setting: Setting) -> Any:
    value: Any = settings
    for name in setting.path:
        value = getattr(value, name)
    return value
