"""How far readers of the logs are behind."""

from prometheus_client import CollectorRegistry

from roadstead.bus import ACCEPTED, Bus, Publisher, last_sequence
from roadstead.core import telemetry
from roadstead.core.messages import OrganizationChanged
from roadstead.db import Database
from roadstead.workers.lag import LagMetrics, LagWatch
from roadstead.workers.state import PROJECTION
from tests.conftest import Tenant


async def test_what_waits_is_counted_with_its_age_and_what_was_worked_off_is_not(
    own_bus: Bus, system_database: Database, acme: Tenant
) -> None:
    registry = CollectorRegistry()
    watch = LagWatch(own_bus, system_database, metrics=LagMetrics(registry))

    def read(name: str, **labels: str) -> float:
        value = registry.get_sample_value(f"roadstead_{name}", labels)
        assert value is not None
        return value

    async with system_database.tx() as tx:
        await tx.run("DELETE FROM projection WHERE name = 'rules'")
        await tx.run("DELETE FROM outbox")  # What other tests left.
    publisher = Publisher(own_bus)
    await publisher.start()
    for number in range(3):
        await publisher.put("uplink.0", b"pack", message_id=f"uplink {number}")
        await publisher.put("accepted.0", b"pack", message_id=f"accepted {number}")
    await publisher.put("control.0", b"pack", message_id="control")
    async with acme.work() as work:
        work.emit(OrganizationChanged())
        await work.tx.value("SELECT 1")
    async with system_database.tx() as tx:
        await telemetry.update_position(tx, PROJECTION, 1)

    await watch.look()
    assert (read("lag_messages", reader="store"), read("lag_messages", reader="state")) == (3, 2)
    assert read("lag_messages", reader="outbox") == read("lag_messages", reader="control") == 1
    for reader in ("store", "control", "state", "outbox"):
        assert 0 < read("lag_seconds", reader=reader) < 60
    assert read("stream_messages", stream="UPLINK") == 3
    assert read("stream_bytes", stream="ACCEPTED") > 0

    async with system_database.tx() as tx:
        await telemetry.update_position(tx, PROJECTION, await last_sequence(own_bus, ACCEPTED))
    await watch.look()
    assert (read("lag_messages", reader="state"), read("lag_seconds", reader="state")) == (0, 0)
    assert read("lag_messages", reader="rules") == 3
    assert read("lag_messages", reader="store") == 3
    await publisher.close()
