"""The worker role: everything that runs by itself beside the data path."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import msgspec
import prometheus_client

from roadstead.app.background_jobs import JOB_HANDLERS
from roadstead.app.codecs import ANSWER_CODECS, codecs_of
from roadstead.app.parts import Parts
from roadstead.app.running import run_until_stopped
from roadstead.bus import Packer, Publisher, ensure_streams, plan_streams
from roadstead.core import commands, configuration
from roadstead.core.downlinks import Answer, CommandAnswer, ConfigurationReport
from roadstead.core.messages import Uplink, size_of_uplink
from roadstead.core.telemetry import DeviceCatalog, Intake
from roadstead.dialects.lightelligence import POINTS_SPELLERS
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.archiving import ArchiveClock
from roadstead.workers.background_jobs import background_worker
from roadstead.workers.commands import CommandTimers
from roadstead.workers.configuration import ConfigurationFacts, ConfigurationWorker
from roadstead.workers.connections import GatewayWatch
from roadstead.workers.control import ControlWorker, Handler
from roadstead.workers.deliveries import DeliverySender
from roadstead.workers.exports import ExportWorker
from roadstead.workers.forgetting import Forgetting
from roadstead.workers.housekeeping import Housekeeping
from roadstead.workers.lag import LagMetrics, LagWatch
from roadstead.workers.mailings import MailingWorker
from roadstead.workers.metering import PayloadCounter, facts_counter
from roadstead.workers.metrics import DeliveryMetrics, RuleMetrics, StateMetrics
from roadstead.workers.outbox import OutboxRelay
from roadstead.workers.points import points_worker
from roadstead.workers.purge import run_purge
from roadstead.workers.rollouts import RolloutDriver
from roadstead.workers.rules import RuleWorker
from roadstead.workers.searching import SearchIndexer
from roadstead.workers.signing_keys import run_key_rotation
from roadstead.workers.state import StateProjection
from roadstead.workers.system_devices import SystemWorker
from roadstead.workers.timers import TimerWorker
from roadstead.workers.turns import Turn

ANSWER_HANDLERS: Mapping[type[Answer], Handler] = {
    CommandAnswer: commands.take_answers,
    ConfigurationReport: configuration.take_reports,
}
"""Who applies what devices answer."""


async def run_worker(parts: Parts, told: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until told to stop. Whatever is cut off is taken up again at the next start."""
    async with AsyncExitStack() as exits:
        await ensure_streams(parts.bus, plan_streams(), replicas=parts.settings.nats_replicas)
        publisher = Publisher(parts.bus)
        await publisher.start()
        exits.push_async_callback(publisher.close)
        packer = Packer[Uplink](parts.bus, encode=msgspec.msgpack.Encoder().encode, size_of=size_of_uplink)
        await packer.start()
        exits.push_async_callback(packer.close)
        catalog = DeviceCatalog(parts.system_database)
        forgetting = Forgetting(parts.bus, catalog)
        await forgetting.open()
        intake = Intake(
            catalog,
            codecs_of(parts.settings),
            strict_gateways=parts.settings.lightelligence.strict_gateways,
        )
        packs = AcceptedPacks()
        news = asyncio.Event()
        ready()
        await run_until_stopped(
            told,
            OutboxRelay(parts.system_database, parts.settings.database_url, publisher).run(),
            Housekeeping(
                parts.system_database,
                parts.ports.telemetry,
                parts.ports.blobs,
                connection_log_days=parts.settings.connection_log_days,
                deleted_device_days=parts.settings.deleted_device_days,
            ).run(),
            ExportWorker(parts.system_database, parts.ports, parts.settings.data_dir / "scratch").run(),
            points_worker(parts.system_database, parts.ports, POINTS_SPELLERS).run(),
            background_worker(parts.system_database, parts.ports, JOB_HANDLERS).run(),
            StateProjection(
                parts.bus, parts.system_database, packs, metrics=StateMetrics(prometheus_client.REGISTRY)
            ).run(),
            PayloadCounter(parts.bus, parts.system_database, packs).run(),
            facts_counter(parts.bus, parts.system_database, Turn(parts.settings.database_url, "metering")).run(),
            ArchiveClock(parts.system_database, parts.ports).run(),
            GatewayWatch(parts.system_database).run(),
            CommandTimers(parts.system_database).run(),
            SearchIndexer(parts.system_database).run(),
            TimerWorker(parts.system_database, parts.ports, intake, packer).run(),
            SystemWorker(parts.system_database, packer).run(),
            forgetting.run(),
            ConfigurationFacts(
                parts.bus, parts.system_database, Turn(parts.settings.database_url, "configuration"), news
            ).run(),
            ConfigurationWorker(parts.system_database, parts.ports, news).run(),
            ControlWorker(
                parts.bus,
                parts.system_database,
                Turn(parts.settings.database_url, "control"),
                ANSWER_CODECS,
                ANSWER_HANDLERS,
            ).run(),
            DeliverySender(
                parts.system_database,
                parts.settings.database_url,
                parts.ports,
                at_a_time=parts.settings.outgoing.at_a_time,
                metrics=DeliveryMetrics(prometheus_client.REGISTRY),
            ).run(),
            MailingWorker(
                parts.bus, parts.system_database, parts.ports, Turn(parts.settings.database_url, "mailings")
            ).run(),
            RuleWorker(
                parts.bus, parts.system_database, parts.ports, packs, metrics=RuleMetrics(prometheus_client.REGISTRY)
            ).run(),
            RolloutDriver(parts.system_database, parts.ports, parts.bus).run(),
            LagWatch(parts.bus, parts.system_database, metrics=LagMetrics(prometheus_client.REGISTRY)).run(),
            run_purge(parts.system_database, parts.bus, parts.ports.telemetry, parts.ports.blobs),
            run_key_rotation(parts.system_database, parts.ports),
        )
