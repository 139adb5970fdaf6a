"""The chapter: one file a scenario, one folder a section. `python -m scenarios list` names them all."""
