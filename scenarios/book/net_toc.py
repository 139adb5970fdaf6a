"""A stand-in for Ruby's Net::TOC 0.2, as it was measured: what it does right, and the nine things that it does not.

It stands on comms' clock, link and frames, never on comms' client, where these are mended. Instead of a reader thread,
whatever comes is read within `wait`; it closes through the link, so no race is replayed.

1. `connect` reads one frame, and acts only if it is SIGN_ON; a refusal is dropped, and nobody hears of it.
2. What is sent later goes into a closed connection; only `wait` finds that it is closed.
3. IM_IN is read as if it were IM_IN2, so the text up to its first colon is lost.
4. A message loses the colons at its end (`split` does that).
5. The text of an error is filled in *in the table*, so the first name ever reported stays for all later ones.
6. An exception in a block ends the reader, and with it `wait`.
7. `:online` is listed, and never set. A later block for a status replaces the earlier one.
8. Text goes out as it is: no HTML reference for `<`, no length limit; CR LF becomes two `<br>`.
9. Nobody who is not on the stored list has a status.
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
    """Fewer than the six octets of a header came."""


def format_screen_name(name: str) -> str:
    """Lower case, without blanks."""
    return "".join(name.lower().split())


def format_message(text: str) -> str:
    """Line breaks as `<br>`, and a backslash before four characters."""
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
            901: "<param> is not available.", 902: "Warning <param> is not allowed.", 903: "Message dropped (speed limit).",
            980: "Incorrect screen name or password.", 981: "The service is unavailable.",
            982: "Your warning level is too high.", 983: "You connect too often.",
            989: "An unknown error occurred while signing on.",
        }  # fmt: skip
        self._on_im: Callable[[str, Buddy, bool], object] = lambda message, buddy, auto_response: None
        self._on_error: Callable[[str], object] = lambda text: host.log("error", "error", text=f"Error: {text}")

    def on_im(self, block: Callable[[str, Buddy, bool], object]) -> None:
        """Replaces the block that is called for an IM."""
        self._on_im = block

    def on_error(self, block: Callable[[str], object]) -> None:
        """Replaces the block that is called for an error."""
        self._on_error = block

    def connect(self, server: str, port: int) -> None:
        """FLAPON, SIGNON, toc2_signon; then one frame."""
        self._link = Link.connect(server, port, self._clock)
        self._link.sendall(FLAPON)
        self._frames = Frames(int(self._host.token(4), 36) % 100000)
        self._frame()
        self._link.sendall(self._frames.write(frames.SIGNON, frames.signon(self.screen_name) + b"\0"))
        self.send(
            f"toc2_signon login.oscar.aol.com 5190 {self.screen_name} {roast(self._password)} english "
            f'"TIC:toc.rb" 160 {signon_code(self.screen_name, self._password)}'
        )
        if self._frame().startswith("SIGN_ON:"):
            self.send(f"toc_add_buddy {self.screen_name}")
            self.send("toc_init_done")

    def disconnect(self) -> None:
        """Closes the socket."""
        if self._link is not None:
            self._link.close()

    def wait(self) -> None:
        """Reads until the connection dies (CommunicationError), or the program is asked to stop."""
        assert self._link is not None
        while True:
            while (frame := self._frames.read()) is not None:
                self._handle(frame.payload.decode("latin-1"))
            if not self._clock.wait(self._link, None):
                return
            self._receive()

    def send(self, line: str) -> None:
        """A frame, whatever its length. A closed connection is noticed by nobody."""
        assert self._link is not None
        try:
            self._link.sendall(self._frames.write(frames.DATA, line.encode("latin-1", "replace") + b"\0"))
        except OSError:
            pass

    def _frame(self) -> str:
        assert self._link is not None
        while (frame := self._frames.read()) is None:
            self._receive()
        return frame.payload.decode("latin-1")

    def _receive(self) -> None:
        assert self._link is not None
        data = self._link.recv(1 << 16)
        if not data:
            raise CommunicationError("the header of a frame did not come")
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
        """Replaces the block that is called when the buddy changes to this status."""
        self._blocks[status] = block

    def send_im(self, message: str) -> None:
        """Sends it."""
        self._client.send(f'toc_send_im {format_screen_name(self.screen_name)} "{format_message(message)}"')

    def raw_update(self, online: str, idle: int, kind: str) -> None:
        """What an UPDATE_BUDDY means."""
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
    """Net::TOC::BuddyList, as far as listings need it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._buddies: dict[str, Buddy] = {}

    def buddy_named(self, name: str) -> Buddy:
        """Finds or makes it."""
        return self._buddies.setdefault(format_screen_name(name), Buddy(self._client, name))


def signed_on_by(settings: Any, clock: Clock, host: Host) -> tuple[Client, str, int]:
    """A client with the settings' name and password, and where to connect it."""
    server = settings.server("toc")
    return Client(server.screen_name, server.password, clock, host), server.host, server.port
