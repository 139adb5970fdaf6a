"""The parts of service administration (XEP-0133)."""
