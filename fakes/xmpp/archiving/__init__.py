"""The message archive (XEP-0313): messages.py, queries.py, then rules.py and the others.

Its extension is `extensions/archive.py`.
"""
