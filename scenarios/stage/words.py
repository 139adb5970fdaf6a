"""Words that the chapter does not use, or uses without explaining them, in one sentence each.

They are explained where they first appear in a story, and in the glossary of a picture.
"""

WORDS: dict[str, str] = {
    # ── mail ──
    "envelope": "The addresses that mail servers deliver by, sent in MAIL FROM and RCPT TO; "
    "they need not be those in the header of the mail.",
    "header": "The fields at the top of a mail, such as From and Subject: "
    "what the reader sees, and anybody can write.",
    "null sender": "An empty sender in the envelope, <>, so that nothing is ever sent back.",
    "bounce": "The mail by which a server reports that another mail could not be delivered.",
    "maildrop": "The mails that a POP3 server holds for one user, "
    "as they were when the session began.",
    "auto-response": "An answer that a program sends without anybody having read the message; "
    "it must never be answered by another program.",
    "alias": "A further address of the same mailbox.",
    "quota": "How much a mailbox may hold before the server refuses more mail.",
    "thread": "A mail and its replies, held together by Message-ID, In-Reply-To and References.",
    "MIME": "The format by which a mail has several parts, attachments and other charsets.",
    # ── chat ──
    "screen name": "The name of a user of AIM; case and spaces do not count.",
    "buddy list": "The screen names that an AIM client wants to hear of, kept by the server.",
    "sign-on": "The login of AIM, which is over only when the server has answered SIGN_ON.",
    "frame": "What AIM's protocol TOC sends at a time: a header of six bytes, then the text.",
    "stanza": "One complete XML element of Jabber: a message, a presence, or a question (iq).",
    "roster": "A user's contact list, which the Jabber server keeps.",
    "JID": "An address of Jabber, written like a mail address.",
    "bare JID": "The address of a Jabber user without the resource: that user, on any device.",
    "resource": "The part of a Jabber address after the slash, which names one device.",
    "presence": "What Jabber calls the news that a user is available, away or gone.",
    "subscription": "Whether one Jabber user may see another's presence; "
    "the other must have agreed.",
    "headline": "A Jabber message that announces something and expects no answer.",
    "carbon": "A copy of a message that was sent to or from another device of the same user.",
    # ── protocols ──
    "capability": "Something that a server says it can do beyond the least that is required.",
    "APOP": "A POP3 login that proves the password without sending it.",
    "SASL": "The framework by which several protocols log in; "
    "the client chooses one of the server's mechanisms.",
    "SCRAM": "A login at which client and server prove to each other that they know the password.",
    "STARTTLS": "The command after which a connection that was in clear text is encrypted.",
    "section": "The place in a standard (RFC or XEP) that a command or an answer follows.",
    # ── the programs ──
    "outbox": "Where a program keeps messages on disk until a server has taken them.",
    "ledger": "The list on disk of commands that were begun and ended, "
    "so that a crash repeats none.",
    "audit": "The list on disk of who asked for what, and of what was refused, and why.",
    "confirmation": "The word that must be said again within a minute "
    "before a dangerous command runs.",
    "flapping": "Going down and coming up again and again within a short time.",
    "back-off": "Waiting longer after each failure before the next attempt.",
    # ── rehearsals ──
    "claim": "A sentence that must be true at the end of an act.",
    "fault": "Something that a rehearsal breaks on purpose, such as a lost connection.",
    "drill": "A fault, or several, that was prepared and can be named.",
    "listing": "A program as the chapter prints it.",
}
