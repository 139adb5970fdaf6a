"""Transcripts: dialogues as files, read by people, played as tests, written by the recorder.

    SMTP: the first dot of a line is removed (RFC 5321 §4.5.2)
    given: person = [{ address = "alice@example.test" }]
    fault: RCPT nth 2 reply "451 4.3.0 try later"

    S: 220 mail.example.test ESMTP
    C: EHLO client.example
    S: 250-mail.example.test greets client.example
    …
    C: AUTH PLAIN {plain alice@example.test}
    S: (closes)
    then: inbox alice@example.test 1

The grammar is described in fakes/README.md. `text` reads it, `codec` turns lines into bytes and
bytes into lines, `secrets` computes what a label such as `{plain alice}` stands for, `recorder`
writes a recording as a transcript, `player` plays one on bare cores and on sockets.
"""
