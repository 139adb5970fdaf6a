"""Draws recordings: the wire, who did what when, the claims. Imports neither comms nor fakes."""
