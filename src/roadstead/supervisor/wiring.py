"""What a supervised role is told besides its settings: by environment, as anybody can see arguments."""

from collections.abc import Iterator, Mapping

import msgspec

from roadstead.settings import Settings, all_settings
from roadstead.supervisor import notify
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.ports import LOOPBACK, Access

_STORE_PORT = "ROADSTEAD_STORE_PORT"
_STORE_PASSWORD = "ROADSTEAD_STORE_PASSWORD"  # noqa: S105 - the name of a variable
STORE_USER = "roadstead"


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """The private part of a role's environment. Not settings: only the supervisor gives these."""

    store: Access | None = None
    """Where the store role offers ClickHouse's HTTP interface, on loopback; None: `clickhouse_url` is somebody else's.
    User `roadstead`. Variables `ROADSTEAD_STORE_PORT`, `ROADSTEAD_STORE_PASSWORD`."""

    notify_fd: int | None = None
    """An open pipe that takes `READY` (see `notify.ready`). Variable `ROADSTEAD_NOTIFY_FD`."""

    def environment(self) -> Iterator[tuple[str, str]]:
        """The variables of what is there."""
        if self.store is not None:
            yield _STORE_PORT, str(self.store.port)
            yield _STORE_PASSWORD, self.store.password
        if self.notify_fd is not None:
            yield notify.VARIABLE, str(self.notify_fd)


def read_wiring(environment: Mapping[str, str]) -> Wiring:
    """What the supervisor told this process; empty when there is none. Raises `StartError` for what cannot be read."""
    port, number = environment.get(_STORE_PORT, ""), environment.get(notify.VARIABLE, "")
    try:
        store = Access(int(port), environment[_STORE_PASSWORD]) if port else None
        return Wiring(store=store, notify_fd=int(number) if number else None)
    except (KeyError, ValueError) as error:
        raise StartError(
            f"{_STORE_PORT}, {_STORE_PASSWORD} and {notify.VARIABLE} are for the supervisor only"
        ) from error


def store_url(access: Access) -> str:
    """The `clickhouse_url` of every role but the store."""
    return f"http://{STORE_USER}:{access.password}@{LOOPBACK}:{access.port}"


def role_environment(inherited: Mapping[str, str], settings: Settings, wiring: Wiring) -> dict[str, str]:
    """The whole environment of a role: what we inherited, with every setting as it stands here, and the wiring.

    The role need not find the settings file again, and cannot read a changed one.
    """
    environment = {name: value for name, value in inherited.items() if not name.startswith("ROADSTEAD_")}
    for setting in all_settings():
        value: object = settings
        for name in setting.path:
            value = getattr(value, name)
        environment[setting.variable] = str(value).lower() if isinstance(value, bool) else str(value)
    return environment | {"PYTHONUNBUFFERED": "1"} | dict(wiring.environment())
