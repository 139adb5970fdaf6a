"""A stand-in for Ruby's Net::TOC 0.2, as it was measured.

Mistakes

12. `connect` reads one frame, and acts only if it is SIGN_ON; a refusal is dropped. What is sent
    later is written to a closed connection without an error; only `wait` notices. Text is sent as
    it is: without references for `<` and `&`, and without a length limit.
15. An exception in a callback ends the reader, and with it `wait`. It never reconnects.

Beyond the chapter's list: IM_IN is read as if it were IM_IN2, so that the text before its first
colon is lost, and colons at the end of a message are lost, too. The text of an error is filled in
in the table, so that the first name stays for all later errors. `:online` never happens, a later
callback for a status replaces an earlier one, and only buddies of the stored list have a status.

The module uses comms' clock, link and frames, but not its client, which does not make these
mistakes. Messages are read within `wait`, not by a thread, and the socket is closed through the
link, so that a rehearsal is always the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from comms.clock import Clock
from comms.host import Host
from comms.link import Link
from comms.toc import frames
from comms.toc.frames import FLAPON, Frames
from comms.toc.messages import roast, signon_code


class CommunicationError(RuntimeError):
    """The connection ended within the header of a frame."""


def format_screen_name(name: str) -> str:
    """Returns the name in lower case, without spaces."""
    return "".join(name.lower().split())


def format_message(text: str) -> str:
    """Returns the text with `<br>` for line breaks, and four characters escaped."""
    # mistake 12: `<` and `&` stay as they are
    return re.sub(r'([{}\\"])', r"\\\1", re.sub(r"[\r\n]", "<br>", text))


class Client:
    """Net::TOC::Client."""

    def __init__(self, screen_name: str, password: str, clock: Clock, host: Host) -> None:
        self.screen_name = format_screen_name(screen_name)
        self.buddy_list = BuddyList(self)
        self._password, self._clock, self._host = password, clock, host
        self._link: Link | None = None
        self._frames = Frames(0)
        self._errors = {
            901: "<param> is not available.",
            902: "Warning <param> is not allowed.",
            903: "Message dropped (speed limit).",
            980: "Incorrect screen name or password.",
            981: "The service is unavailable.",
            982: "Your warning level is too high.",
            983: "You connect too often.",
            989: "An unknown error occurred while signing on.",
        }
        self._on_im: Callable[[str, Buddy, bool], object] = lambda message, buddy, auto_response: (
            None
        )
        self._on_error: Callable[[str], object] = lambda text: host.log(
            "error", "error", text=f"Error: {text}"
        )

    def on_im(self, block: Callable[[str, Buddy, bool], object]) -> None:
        """Sets the callback for a message."""
        self._on_im = block

    def on_error(self, block: Callable[[str], object]) -> None:
        """Sets the callback for an error."""
        self._on_error = block

    def connect(self, server: str, port: int) -> None:
        """Sends FLAPON, SIGNON and toc2_signon; then reads one frame."""
        self._link = Link.connect(server, port, self._clock)
        self._link.expect(None)  # the server may send at any time
        self._link.sendall(FLAPON)
        self._frames = Frames(int(self._host.token(4), 36) % 100000)
        self._frame()
        self._link.sendall(
            self._frames.write(frames.SIGNON, frames.signon(self.screen_name) + b"\0")
        )
        self.send(
            f"toc2_signon login.oscar.aol.com 5190 {self.screen_name} "
            f"{roast(self._password)} english "
            f'"TIC:toc.rb" 160 {signon_code(self.screen_name, self._password)}'
        )
        if self._frame().startswith("SIGN_ON:"):  # mistake 12: anything else is dropped
            self.send(f"toc_add_buddy {self.screen_name}")
            self.send("toc_init_done")

    def disconnect(self) -> None:
        """Closes the socket."""
        if self._link is not None:
            self._link.close()

    def wait(self) -> None:
        """Reads until the connection ends (CommunicationError) or the program is asked to stop."""
        assert self._link is not None
        while True:
            while (frame := self._frames.read()) is not None:
                self._handle(frame.payload.decode("latin-1"))
            if not self._clock.wait(self._link, None):
                return
            self._receive()

    def send(self, line: str) -> None:
        """Sends a frame of any length. A closed connection raises nothing."""
        assert self._link is not None
        try:
            self._link.sendall(
                self._frames.write(frames.DATA, line.encode("latin-1", "replace") + b"\0")
            )
        except OSError:
            pass  # mistake 12: the message is lost

    def _frame(self) -> str:
        assert self._link is not None
        while (frame := self._frames.read()) is None:
            self._receive()
        return frame.payload.decode("latin-1")

    def _receive(self) -> None:
        assert self._link is not None
        data = self._link.recv(1 << 16)
        if not data:
            raise CommunicationError("the header of a frame did not arrive")  # mistake 15
        self._frames.feed(data)

    def _handle(self, line: str) -> None:
        word, _, rest = line.partition(":")
        if word in ("IM_IN", "IM_IN2"):
            sender, auto, _, text = [*rest.rstrip(":").split(":", 3), "", "", ""][:4]
            self._on_im(text, self.buddy_list.buddy_named(sender), auto == "T")
        elif word in ("CONFIG", "CONFIG2"):
            for entry in rest.split("\n"):
                if entry.startswith("b:"):
                    self.buddy_list.buddy_named(entry[2:].split(":")[0])
        elif word in ("UPDATE_BUDDY", "UPDATE_BUDDY2"):
            name, online, _, _, idle, kind = (*rest.split(":"), "")[:6]
            self.buddy_list.buddy_named(name).raw_update(online, int(idle or 0), kind)
        elif word == "ERROR":
            code, _, argument = rest.partition(":")
            if int(code) in self._errors:
                self._errors[int(code)] = self._errors[int(code)].replace("<param>", argument)
            self._on_error(self._errors.get(int(code), "An unknown error occurred."))


class Buddy:
    """Net::TOC::Buddy."""

    def __init__(self, client: Client, screen_name: str) -> None:
        self.screen_name = screen_name
        self.status = "offline"
        self._client = client
        self._blocks: dict[str, Callable[[], object]] = {}

    def on_status(self, status: str, block: Callable[[], object]) -> None:
        """Sets the callback for a change to this status."""
        self._blocks[status] = block

    def send_im(self, message: str) -> None:
        """Sends a message."""
        self._client.send(
            f'toc_send_im {format_screen_name(self.screen_name)} "{format_message(message)}"'
        )

    def raw_update(self, online: str, idle: int, kind: str) -> None:
        """Sets the status from an UPDATE_BUDDY, and calls the callback if it has changed."""
        former = self.status
        if online == "F":
            self.status = "offline"
        elif kind[2:3] == "U":
            self.status = "away"
        else:
            self.status = "idle" if idle > 0 else "available"
        if self.status != former and self.status in self._blocks:
            self._blocks[self.status]()


class BuddyList:
    """Net::TOC::BuddyList, as far as the listings use it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._buddies: dict[str, Buddy] = {}

    def buddy_named(self, name: str) -> Buddy:
        """Returns the buddy of this name, and adds it if there is none."""
        return self._buddies.setdefault(format_screen_name(name), Buddy(self._client, name))


def signed_on_by(settings: Any, clock: Clock, host: Host) -> tuple[Client, str, int]:
    """Returns a client with the settings' name and password, and the server's address."""
    server = settings.server("toc")
    return Client(server.screen_name, server.password, clock, host), server.host, server.port
