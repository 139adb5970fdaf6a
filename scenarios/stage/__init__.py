"""Shows recordings to people. Imports neither comms nor fakes."""
