"""Where the server of a domain is: by SRV records if dnspython is installed, else at the domain."""

from __future__ import annotations

import ipaddress
import re

from comms.errors import Refused
from comms.host import Host
from comms.xmpp.addresses import Jid, ascii_domain

PORT, TLS_PORT = 5222, 5223  # of a host that is named without one (RFC 6120 §3.2.2)

Place = tuple[str, int]  # host (or IP address without brackets) and port; 0: the usual one
_Record = tuple[int, int, int, str]  # priority, weight, port, target


def candidates(
    domain: str, tls: str, port: int, host: Host, timeout: float
) -> list[tuple[str, int]]:
    """Returns (host, port) in the order in which to try them (RFC 6120 §3.2.1).

    With `tls` "implicit", they are those of XEP-0368. Raises Refused if the domain declares that it
    has no such service.
    """
    name = ascii_domain(domain)
    service = "_xmpps" if tls == "implicit" else "_xmpp"
    records = _look_up(f"{service}-client._tcp.{name}.", timeout)
    if [target for _, _, _, target in records] == ["."]:
        raise Refused(f"{domain} has no Jabber service of this kind (its SRV record says so)")
    found = [(target.rstrip("."), at) for target, at in _in_order(records, host)]
    return found or [(name, port)]


def place(text: str) -> Place | None:
    """Returns the place that a server names, `host`, `host:port` or `[IPv6]:port`; else None."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^][:/@\s]{1,255})(?::([0-9]{1,5}))?", text)
    if found is None or not 0 < int(found[2] or PORT) < 1 << 16:
        return None
    try:
        if found[1].startswith("["):
            ipaddress.IPv6Address(found[1][1:-1])
        return ascii_domain(Jid.parse(found[1]).domain), int(found[2] or 0)
    except ValueError:
        return None


def candidates_at(place: Place, tls: str, host: Host, timeout: float) -> list[Place]:
    """Returns (host, port) of a place; without a port, its SRV records decide (RFC 6120 §3.2)."""
    name, port = place
    usual = TLS_PORT if tls == "implicit" else PORT
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return [place] if port else candidates(name, tls, usual, host, timeout)
    return [(name, port or usual)]


def _look_up(name: str, timeout: float) -> list[_Record]:
    """Returns the SRV records of a name; an empty list if they cannot be looked up."""
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        return []
    try:
        answer = dns.resolver.resolve(name, "SRV", lifetime=timeout)
    except dns.exception.DNSException:
        return []
    return [(item.priority, item.weight, item.port, str(item.target)) for item in answer]


def _in_order(records: list[_Record], host: Host) -> list[tuple[str, int]]:
    """Sorts records by priority. Those of equal priority are shuffled by weight (RFC 2782)."""
    left, ordered = sorted(records), []
    while left:
        rivals = [record for record in left if record[0] == left[0][0]]
        # Draw a number up to the sum of the weights. The record that reaches it is next, so that
        # its chances are in proportion to its weight.
        drawn = int(host.token(8), 36) % (sum(weight for _, weight, _, _ in rivals) + 1)
        for chosen in rivals:
            drawn -= chosen[1]
            if drawn <= 0:
                break
        left.remove(chosen)
        ordered.append((chosen[3], chosen[2]))
    return ordered
