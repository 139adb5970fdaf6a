"""The extensions, one per file. The rest of the server knows only their base class."""

from __future__ import annotations

from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.administration import Administration
from fakes.xmpp.extensions.archive import Archive
from fakes.xmpp.extensions.avatars import Avatars
from fakes.xmpp.extensions.bind2 import Bind2
from fakes.xmpp.extensions.blocking import Blocking
from fakes.xmpp.extensions.bookmarks import Bookmarks
from fakes.xmpp.extensions.caps import Caps
from fakes.xmpp.extensions.carbons import Carbons
from fakes.xmpp.extensions.client_state import ClientState
from fakes.xmpp.extensions.commands import Commands
from fakes.xmpp.extensions.components import Components
from fakes.xmpp.extensions.contact_addresses import ContactAddresses
from fakes.xmpp.extensions.disco import Disco
from fakes.xmpp.extensions.external_services import ExternalServices
from fakes.xmpp.extensions.fast import Fast
from fakes.xmpp.extensions.last import Last
from fakes.xmpp.extensions.legacy_login import LegacyLogin
from fakes.xmpp.extensions.moderation import Moderation
from fakes.xmpp.extensions.pep import Pep
from fakes.xmpp.extensions.ping import Ping
from fakes.xmpp.extensions.private import Private
from fakes.xmpp.extensions.pubsub import Pubsub
from fakes.xmpp.extensions.registration import Registration
from fakes.xmpp.extensions.retraction import Retraction
from fakes.xmpp.extensions.rooms import Rooms
from fakes.xmpp.extensions.sasl2 import Sasl2
from fakes.xmpp.extensions.server_to_server import ServerToServer
from fakes.xmpp.extensions.stanza_ids import StanzaIds
from fakes.xmpp.extensions.stream_management import StreamManagement
from fakes.xmpp.extensions.time import Time
from fakes.xmpp.extensions.upload import Upload
from fakes.xmpp.extensions.vcard import VCard
from fakes.xmpp.extensions.version import Version
from fakes.xmpp.extensions.websocket import WebSocket

EXTENSIONS: tuple[type[Extension], ...] = (
    Disco,
    Caps,
    Ping,
    Version,
    Time,
    Last,
    VCard,
    Private,
    Blocking,
    Pep,
    Bookmarks,
    Avatars,
    StanzaIds,
    Retraction,
    # After what refuses messages, and before copies are made of what it has given an id.
    Archive,
    Carbons,
    StreamManagement,
    # After it, so that what is held back gets into the queue of a session that is kept.
    ClientState,
    Commands,
    Administration,
    ContactAddresses,
    ExternalServices,
    Rooms,
    Moderation,
    Upload,
    Pubsub,
    WebSocket,
    Registration,
    LegacyLogin,
    Sasl2,
    # After stream management: a session that is resumed needs no other resource.
    Bind2,
    Fast,
    # After the services at subdomains, so that a component cannot have the name of one.
    Components,
    ServerToServer,
)
