"""What real mail servers do where ours follow the RFCs, as bundles of switches.

Each was measured on that server, and tests/test_real_conform.py compares them: the rows of
tests/tables/conform.txt say what each server answers. A switch in the world file wins over a
bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Manners = Mapping[str, Mapping[str, Any]]

SMTP_MANNERS: Manners = MappingProxyType(
    {
        # 3.7.11
        "postfix": {
            "lenient": True,  # RFC 5321 §3.3
            "bare_addresses": True,  # RFC 5321 §4.1.2
            "raw_utf8": True,  # RFC 6531 §3.1
            "bare_lf": True,  # RFC 5321 §2.3.8
            "auth_535": True,  # RFC 4954 §4
            "data_without_recipients": "554",  # RFC 5321 §3.3
            "size": 10_240_000,  # RFC 1870 §6.1
            "ehlo": (  # RFC 5321 §4.1.1.1
                "PIPELINING",
                "SIZE",
                "VRFY",
                "ETRN",
                "STARTTLS",
                "AUTH",
                "ENHANCEDSTATUSCODES",
                "8BITMIME",
                "DSN",
                "SMTPUTF8",
                "CHUNKING",
            ),
        },
    }
)

POP3_MANNERS: Manners = MappingProxyType(
    {
        # 2.3.19
        "dovecot": {
            "bad_commands_before_login": 3,  # RFC 1939 §3
            "several_sessions": True,  # RFC 1939 §4
            "capa_without_logins": True,  # RFC 2449 §5
            "extra_arguments": True,  # RFC 1939 §5
            "ignore_initial_response": True,  # RFC 5034 §4
            "bare_lf": True,  # RFC 1939 §3
            "wrong_login_text": "Authentication failed.",
            "wrong_login_delay": 0.5,  # auth_failure_delay = 0; without, it is 2 seconds more
            "auth_code": "always",  # RFC 3206 §5
            "auth_lists": True,  # RFC 5034 §4
            "seen_by_retr": True,
            # RFC 6856 §2.1, §3; RFC 2449 §6
            "off": frozenset({"UTF8", "LANG", "LOGIN-DELAY", "EXPIRE", "IMPLEMENTATION"}),
        },
    }
)

IMAP_MANNERS: Manners = MappingProxyType(
    {
        # 2.3.19
        "dovecot": {
            "lenient_syntax": True,  # RFC 3501 §9
            "bare_lf": True,  # RFC 3501 §2.2
            "bad_commands_before_login": 3,
            "ignore_initial_response": True,  # RFC 4959 §3
            "starttls_pipelined": "hang-up",  # RFC 3501 §6.2.1
            "empty_enabled": False,  # RFC 5161 §3.1
            "examine_permits": True,  # RFC 3501 §6.3.2
            "rename_inbox": False,  # RFC 3501 §6.3.5
            "store_answers": "changed",  # RFC 3501 §6.4.6
            "removed_mails": "nil",  # RFC 5530 §3
            "lenient_utf8": True,  # RFC 6855 §4
            "unknown_literals": "run",  # RFC 7888 §3
            "fewer_codes": True,  # RFC 5530 §3
            "broken_types": True,  # RFC 2045 §5.2
            "wrong_login_delay": 0.5,  # RFC 3501 §11.2
        },
    }
)
