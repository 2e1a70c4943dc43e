"""The network between processes that train together."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SIOCGIFADDR = 0x8915
"""Linux's number for the question which address an interface has."""


def interface_towards(address: str) -> str | None:
    """The network interface of this machine through which it reaches another; None where that cannot be told."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))  # sends nothing
        own = socket.inet_aton(probe.getsockname()[0])
        for _, name in socket.if_nameindex() if fcntl else ():
            with suppress(OSError):  # one without an address
                told = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                if told[20:24] == own:
                    return name
    return None
