"""NATS JetStream: the log of device messages, live fan-out, nudges. It carries bytes, whatever they mean."""

from roadstead.bus.backlog import BacklogWatch
from roadstead.bus.connection import Bus, Subscription, connect
from roadstead.bus.consumer import Batch, Consumer
from roadstead.bus.feed import Follower
from roadstead.bus.packer import Account, Packer, Waiter
from roadstead.bus.publisher import Publisher
from roadstead.bus.reader import NEW, OLDEST, Pack, Reader, Start
from roadstead.bus.streams import (
    ACCEPTED,
    CONTROL,
    FACTS,
    UPLINK,
    StreamPlan,
    StreamState,
    ensure_streams,
    first_sequence,
    last_message,
    last_message_id,
    last_sequence,
    pending,
    plan_streams,
    sequence_at,
    stream_state,
    waiting_since,
)

__all__ = [
    "ACCEPTED",
    "CONTROL",
    "FACTS",
    "NEW",
    "OLDEST",
    "UPLINK",
    "Account",
    "BacklogWatch",
    "Batch",
    "Bus",
    "Consumer",
    "Follower",
    "Pack",
    "Packer",
    "Publisher",
    "Reader",
    "Start",
    "StreamPlan",
    "StreamState",
    "Subscription",
    "Waiter",
    "connect",
    "ensure_streams",
    "first_sequence",
    "last_message",
    "last_message_id",
    "last_sequence",
    "pending",
    "plan_streams",
    "sequence_at",
    "stream_state",
    "waiting_since",
]
