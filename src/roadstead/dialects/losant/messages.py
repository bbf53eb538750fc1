"""/applications/{id}/mqttPublishMessage and .../mqttSubscriptionStream: free topics (contract sections 28 and 29)."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import get, post
from litestar.response import Stream

from roadstead.core import free_topics
from roadstead.core.free_topics import Ear, Said
from roadstead.core.registry import Space
from roadstead.core.streams import TooSlow
from roadstead.core.work import Work
from roadstead.dialects.losant import topics
from roadstead.dialects.losant.envelopes import SUCCESS
from roadstead.dialects.losant.event_streams import read_keep_alive, speak, spell_event
from roadstead.dialects.losant.schemas import read_body
from roadstead.dialects.losant.throttles import Throttle, throttle
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.topics import matches
from roadstead.kernel.waiting import happens
from roadstead.web.edge import AnyRequest, Edge
from roadstead.web.listening import in_time

_MOST_MESSAGES = 1_000
_MOST_BYTES = 4_194_304


@post(
    "/applications/{applicationId:str}/mqttPublishMessage",
    operation_id="application.mqttPublishMessage",
    status_code=200,
)
async def publish_message(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Says something on a free topic; answers when it is on its way to all who listen."""
    body = await read_body(request, "mqttPublishBody")
    topics.check_topic(body["topic"])
    place = await free_topics.place_to_speak(work, application.id)
    throttle(request, Throttle.PUBLISHED_MESSAGE, application.id)
    edge: Edge = request.app.state.edge
    passed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def done(arrived: bool) -> None:
        if not passed.done():
            passed.set_result(arrived)

    edge.free_topics.say(place, Said(body["topic"], body["message"].encode(), qos=1), done)
    if not await passed:
        raise Unavailable("the message could not be passed on")
    return SUCCESS


@get(
    "/applications/{applicationId:str}/mqttSubscriptionStream",
    operation_id="application.mqttSubscriptionStream",
    media_type="text/event-stream",
    middleware=[in_time],
)
async def listen(request: AnyRequest, work: Work, application: Space) -> Stream:
    """Events `mqttMessage` with what is said on the free topics that `topic` is about, wildcards and all."""
    filter_ = request.query_params.get("topic", "")
    topics.check_filter(filter_)
    read_keep_alive(request)
    place = await free_topics.place_to_listen(work, application.id)
    edge: Edge = request.app.state.edge
    listener = _Listener(filter_)
    listener.ear = await edge.free_topics.listen(place, listener.hear)
    return speak(request, listener, Grant.READINGS_READ, _spell)


class _Listener:
    """What was said and has not been told yet. A listener that lets too much of it pile up is given up."""

    ear: Ear

    def __init__(self, filter_: str) -> None:
        self._filter = filter_
        self._waiting: deque[Said] = deque()
        self._size_bytes = 0
        self._is_too_slow = False
        self._news = asyncio.Event()

    def hear(self, said: Said) -> None:
        """Something was said in the application."""
        if self._is_too_slow or not matches(self._filter, said.topic):
            return
        self._waiting.append(said)
        self._size_bytes += len(said.payload)
        if len(self._waiting) > _MOST_MESSAGES or self._size_bytes > _MOST_BYTES:
            self._is_too_slow = True
            self._waiting.clear()
            self._leaving = asyncio.create_task(self.close())  # nobody may be there to do it
        self._news.set()

    async def next(self, timeout_s: float) -> list[Said]:
        """See `Telling.next`."""
        await happens(self._news, timeout_s)
        self._news.clear()
        if self._is_too_slow:
            raise TooSlow("the listener is too slow")
        found, self._size_bytes = list(self._waiting), 0
        self._waiting.clear()
        return found

    async def close(self) -> None:
        """See `Telling.close`."""
        await self.ear.close()


async def _spell(messages: Sequence[Said]) -> bytes:
    events = []
    for said in messages:
        shown = {"topic": said.topic, "message": said.payload.decode(errors="replace")}
        events.append(spell_event("mqttMessage", msgspec.json.encode(shown)))
    return b"".join(events)


handlers = [publish_message, listen]
