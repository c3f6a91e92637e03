"""Where an address on the network is: on this machine, or out on the internet."""

import ipaddress
from urllib.parse import urlsplit


def is_here(url: str) -> bool:
    """Whether an address is one of this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_public(host: str) -> bool:
    """Whether an IP address is out on the internet; of a name this cannot be said."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.replace(".", "").isdigit()  # 134744072 leads there, too
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_global
