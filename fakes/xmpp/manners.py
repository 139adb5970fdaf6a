"""Manners: what real servers do where the standards leave a choice, as bundles of switches.

Each was measured on that server, and is compared with it in tests/test_real_jabber.py. Without
manners, a server follows the advice of the RFCs. A switch in the table [xmpp] wins over a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

MANNERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # 0.12.3
        "prosody": {
            "iq_without_id": "refuse",  # RFC 6120 §8.1.3
            "missing_resource": "other",  # RFC 6121 §8.5.3.2.1
            "acknowledge_requests": True,  # RFC 6121 §3.1.3
            "delay_presence": True,  # RFC 6121 §4.3.2, XEP-0203 §4
            "upload_authorization": True,  # XEP-0363 §4
            "node_creators": "admins",  # XEP-0060 §8.1.1
        },
        # 23.01
        "ejabberd": {
            "wrong_from": "error",  # RFC 6120 §8.1.2.1
            "unknown_recipient_headline": "error",  # RFC 6121 §8.5.1
            "missing_resource": "other",  # RFC 6121 §8.5.3.2.1
            "roster_pushes": "all",  # RFC 6121 §2.1.6, §2.2
            "delay_presence": True,  # RFC 6121 §4.3.2, XEP-0203 §4
        },
    }
)
