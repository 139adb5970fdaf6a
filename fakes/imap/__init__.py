"""An IMAP server (RFC 3501). The modules that know neither the store nor the connection:

- `reader`: bytes from the client → commands, with their literals
- `grammar`: the arguments of a command → values; `names`: mailbox names and LIST patterns;
  `writing`: values → bytes for the client
- `commands`: one function per command, which reads its arguments
- `source`: the bytes of a mail → its header and its parts; `header`, `addresses` and `dates`: what
  is in a header
- `structure`: ENVELOPE and BODYSTRUCTURE; `sections`: FETCH BODY[…]
- `subjects`: a mail, decoded; `search`: SEARCH; `ordering`: SORT and THREAD
"""
