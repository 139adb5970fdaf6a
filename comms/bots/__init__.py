"""Bots that live on several networks, written once.

Reading order: `network` (what a bot needs of a network), `aim`, `jabber`, `irc` and `mail` (the
networks), `messengers` (those of a settings file), `company` (several of them; who is not heard),
`bot` (a program that answers), `orders` (a program that obeys) and `notices` (what is said once to
who is online, and what has become of it).
"""
