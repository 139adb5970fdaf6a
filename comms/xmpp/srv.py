"""Where the server of a domain is: by SRV records when dnspython is installed, else the domain itself."""

from __future__ import annotations

from comms.errors import Refused
from comms.host import Host
from comms.xmpp.addresses import ascii_domain


def candidates(
    domain: str, tls: str, port: int, host: Host, timeout: float
) -> list[tuple[str, int]]:
    """(host, port) in the order in which to try them (RFC 6120 §3.2.1; XEP-0368 for TLS from the first octet).

    Raises Refused when the domain says that it has no such service.
    """
    name = ascii_domain(domain)
    records = _look_up(f"{'_xmpps' if tls == 'implicit' else '_xmpp'}-client._tcp.{name}.", timeout)
    if [target for _, _, _, target in records] == ["."]:
        raise Refused(
            f"{domain} says that it serves no Jabber clients this way (its SRV record names nobody)"
        )
    return [(target.rstrip("."), at) for target, at in _in_order(records, host)] or [(name, port)]


def _look_up(name: str, timeout: float) -> list[tuple[int, int, int, str]]:
    """(priority, weight, port, target) of a name's SRV records; none where there are none, or nobody to ask."""
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        return []
    try:
        answer = dns.resolver.resolve(name, "SRV", lifetime=timeout)
    except dns.exception.DNSException:
        return []
    return [(one.priority, one.weight, one.port, str(one.target)) for one in answer]


def _in_order(records: list[tuple[int, int, int, str]], host: Host) -> list[tuple[str, int]]:
    """By priority, and within one by chance, the heavier the likelier (RFC 2782)."""
    left, ordered = sorted(records), []
    while left:
        rivals = [one for one in left if one[0] == left[0][0]]
        drawn = int(host.token(8), 36) % (sum(weight for _, weight, _, _ in rivals) + 1)
        for one in rivals:
            drawn -= one[1]
            if drawn <= 0:
                break
        left.remove(one)
        ordered.append((one[3], one[2]))
    return ordered
