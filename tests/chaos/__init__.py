"""Faults on running sessions, and fuzzers: commands, of which the tests run a short form."""
