"""The native API: organization-scoped REST under /api (contracts/platform.yaml)."""

from roadstead.dialects.native.addresses import Network, address_in, contains, read_networks
from roadstead.dialects.native.app import create_app
from roadstead.dialects.native.edge import Edge
from roadstead.dialects.native.limits import Limits
from roadstead.dialects.native.metrics import HttpMetrics
from roadstead.dialects.native.wire import NativeCodec

__all__ = [
    "Edge",
    "HttpMetrics",
    "Limits",
    "NativeCodec",
    "Network",
    "address_in",
    "contains",
    "create_app",
    "read_networks",
]
