"""The api role: the HTTP ports, and what stands behind their routes."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import msgspec
from litestar.types import ASGIApp
from prometheus_client import REGISTRY

from roadstead.app.codecs import codecs_of
from roadstead.app.front import Front
from roadstead.app.metrics import PackMetrics, PlatformMetrics
from roadstead.app.mounts import Mount, Mounts, read_hosts
from roadstead.app.parts import Parts
from roadstead.app.running import run_until_stopped
from roadstead.app.tls import OwnCertificate, public_hosts
from roadstead.bus import BacklogWatch, Packer, ensure_streams, plan_streams
from roadstead.core.free_topics import FreeTopics
from roadstead.core.identity import Audience
from roadstead.core.messages import Uplink, size_of_uplink
from roadstead.core.telemetry import DeviceCatalog, Intake
from roadstead.dialects import leapcraft, leverege, lightelligence, losant, native
from roadstead.gateways.http import HttpServer
from roadstead.gateways.https import HttpsServer
from roadstead.gateways.tls import HTTP_ALPN
from roadstead.settings import Settings, read_uris
from roadstead.web.addresses import read_networks
from roadstead.web.edge import Edge
from roadstead.web.limits import Limits
from roadstead.web.metrics import HttpMetrics
from roadstead.web.uplinks import FairUplinks
from roadstead.workers.forgetting import Forgetting
from roadstead.workers.free_topics import BusFreeTopics
from roadstead.workers.live import LiveHub, LiveMetrics
from roadstead.workers.news import follow_commands
from roadstead.workers.passage import LogPassage

_TENANT_SHARE = 4
"""What one organization may have on its way into the log is this part of what all may have."""


async def run_api(parts: Parts, told: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until told to stop; requests that are being answered get a few seconds. `ready` is called when ports are open."""
    settings = parts.settings
    async with AsyncExitStack() as exits:
        await ensure_streams(parts.bus, plan_streams(), replicas=settings.nats_replicas)
        packs = PackMetrics(REGISTRY)
        packer = Packer[Uplink](
            parts.bus,
            encode=msgspec.msgpack.Encoder().encode,
            size_of=size_of_uplink,
            max_unacknowledged_bytes=settings.mqtt.max_unacknowledged_bytes,
            report=packs.report,
        )
        packs.watch(lambda: packer.unacknowledged_bytes)
        await packer.start()
        exits.push_async_callback(packer.close)
        catalog = DeviceCatalog(parts.system_database)
        forgetting = Forgetting(parts.bus, catalog)
        await forgetting.open()
        live = LiveHub(parts.bus, parts.tenant_database, parts.ports, metrics=LiveMetrics(REGISTRY))
        intake = Intake(catalog, codecs_of(settings), strict_gateways=settings.lightelligence.strict_gateways)
        free_topics = BusFreeTopics(parts.bus)
        edge = make_edge(parts, intake, packer, live, free_topics)
        app = Front(
            mount_dialects(edge, settings),
            checks=edge.checks,
            metrics=PlatformMetrics(parts.bus, "api", REGISTRY),
            readers=read_networks(settings.http.metrics_from),
            proxies=edge.trusted_proxies,
            unsafe=settings.unsafe,
        )
        backlog = BacklogWatch(parts.bus, [packer], most_bytes=settings.limits.backlog_bytes)
        jobs = [
            backlog.run(),
            forgetting.run(),
            live.run(),
            free_topics.run(),
            follow_commands(parts.bus, edge.command_news),
        ]
        if settings.https.port:
            certificate = OwnCertificate(parts.system_database, parts.ports, public_hosts(settings))
            tls = await certificate.open(HTTP_ALPN)
            https = HttpsServer(app, tls)
            await https.start(settings.http.host, settings.https.port)
            exits.push_async_callback(https.stop)
            jobs.append(certificate.keep(tls))
        http = HttpServer(app)
        await http.start(settings.http.host, settings.http.port)
        exits.push_async_callback(http.stop)
        ready()
        await run_until_stopped(told, *jobs)


def mount_dialects(edge: Edge, settings: Settings) -> ASGIApp:
    """All that programs may speak."""
    realm = lightelligence.Terms(
        settings.lightelligence.identity_url, read_uris(settings.lightelligence.portal_redirect_uris)
    )
    terms = leapcraft.Terms(settings.leapcraft.averages_shape, settings.leapcraft.things_path)
    mounts = [
        Mount("/leapcraft", read_hosts(settings.leapcraft.hosts), leapcraft.create_app(edge, terms)),
        Mount("/lightelligence", read_hosts(settings.lightelligence.hosts), lightelligence.create_app(edge, realm)),
        Mount("/leverege", read_hosts(settings.leverege.hosts), leverege.create_app(edge, _audience_of(settings))),
        Mount("/losant", read_hosts(settings.losant.hosts), losant.create_app(edge, rates_of(settings))),
    ]
    return Mounts(native.create_app(edge), mounts)


def rates_of(settings: Settings) -> losant.Rates:
    """How often devices and applications of the Losant dialect may say one thing."""
    numbers = settings.losant
    return losant.Rates(
        device_messages=numbers.device_messages,
        device_messages_s=numbers.device_messages_s,
        events=numbers.events,
        events_s=numbers.events_s,
    )


def _audience_of(settings: Settings) -> Audience:
    """The URLs under which programs of the Leverege dialect know this platform."""
    named = {f"{scheme}://{host}" for host in read_hosts(settings.leverege.hosts) for scheme in ("https", "http")}
    return Audience(frozenset({settings.url, f"{settings.url}/leverege", *named}), settings.leverege.strict_audience)


def make_edge(parts: Parts, intake: Intake, uplinks: Packer[Uplink], live: LiveHub, free_topics: FreeTopics) -> Edge:
    """What the routes of all dialects work with."""
    settings = parts.settings
    return Edge(
        parts.tenant_database,
        parts.system_database,
        parts.ports,
        intake,
        FairUplinks(
            uplinks,
            tenant_bytes=settings.mqtt.max_unacknowledged_bytes // _TENANT_SHARE,
            bytes_per_s=settings.limits.ingest_bytes_per_second,
        ),
        live,
        HttpMetrics(REGISTRY),
        {"database": parts.system_database.ready, "bus": uplinks.ready, "store": parts.ports.telemetry.ready},
        LogPassage(parts.bus, parts.system_database),
        free_topics,
        max_body_bytes=settings.http.max_body_bytes,
        expose_docs=settings.expose_api_docs,
        mqtt_host=settings.public_host,
        mqtt_port=settings.mqtts.port,
        trusted_proxies=read_networks(settings.http.trusted_proxies),
        limits=Limits(
            requests_per_minute=settings.limits.requests_per_minute,
            sign_ins_per_minute=settings.limits.sign_ins_per_minute,
        ),
    )
