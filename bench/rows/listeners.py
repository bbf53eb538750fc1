"""Programs that listen to the live stream while devices report."""

from bench.load.plan import LivePlan, MqttPlan, Senders

SUBSCRIBERS = 20


def listener_plan(plans: list[MqttPlan], port: int, key: str) -> LivePlan:
    """Subscribers that share out the devices of open-loop plans among them."""
    devices = [device.id for plan in plans for device in plan.devices]
    size = -(-len(devices) // SUBSCRIBERS)
    return LivePlan(
        host="127.0.0.1",
        port=port,
        key=key,
        senders=[
            Senders(device_ids=[device.id for device in plan.devices], rate=plan.rate, base_ms=plan.base_ms)
            for plan in plans
        ],
        subscriptions=[devices[start : start + size] for start in range(0, len(devices), size)],
    )
