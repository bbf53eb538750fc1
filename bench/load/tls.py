"""How devices speak TLS: each with a certificate of its own, checking that of the platform."""

import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.load.plan import Device


def contexts_of(devices: Sequence[Device], authority: str) -> list[ssl.SSLContext]:
    """One for each device."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "device.pem"
        contexts = []
        for device in devices:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=authority)
            if device.certificate:
                file.write_text(device.certificate)
                context.load_cert_chain(file)
            contexts.append(context)
        return contexts
