"""What the server announces: its version, its modes, and its limits (005)."""

from fakes.version import VERSION

SERVER_VERSION = f"fakes-{VERSION}"
USER_MODES, CHANNEL_MODES, WITH_PARAMETER = "Biosw", "Ibeiklmnostv", "Ibeklov"
PER_LINE = 13  # tokens of one 005
AWAY, KICK, REAL_NAME, TOPIC = 200, 255, 128, 390  # bytes
MODES = 6  # modes with a parameter per MODE
CHANNELS = 50  # of one user
TARGETS = 4  # of PRIVMSG, NOTICE and KICK
TOKENS = (
    f"AWAYLEN={AWAY}",
    "BOT=B",
    "CASEMAPPING={casemapping}",
    f"CHANLIMIT=#:{CHANNELS}",
    "CHANMODES=beI,k,l,imnst",
    "CHANNELLEN=64",
    "CHANTYPES=#",
    "ELIST=MNU",
    "EXCEPTS",
    "INVEX",
    "KEYLEN=23",
    f"KICKLEN={KICK}",
    "MAXLIST=beI:100",
    f"MODES={MODES}",
    f"NAMELEN={REAL_NAME}",
    "NETWORK=fakes",
    "NICKLEN=30",
    "PREFIX=(ov)@+",
    f"TARGMAX=JOIN:,PART:,KICK:{TARGETS},NAMES:1,PRIVMSG:{TARGETS},NOTICE:{TARGETS},WHOIS:1",
    f"TOPICLEN={TOPIC}",
    "USERLEN=10",
)
TOKEN_NAMES = frozenset(token.partition("=")[0] for token in TOKENS)
