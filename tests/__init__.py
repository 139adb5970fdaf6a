"""Tests are sentences; the file's name is the path of what it tests."""
