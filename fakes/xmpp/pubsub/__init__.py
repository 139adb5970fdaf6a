"""Publish–subscribe (XEP-0060): what the service `pubsub.DOMAIN` and every account share.

Read the values first (configuration.py, nodes.py), then who may do what (access.py), what
subscribers are told (events.py), and how requests get here (hosting.py); then what is asked:
publishing.py, retrieving.py, subscribing.py, owning.py, describing.py. For accounts, sharing.py
adds presence, and interests.py what clients want. The extensions are `extensions/pubsub.py` and
`extensions/pep.py`.
"""
