"""The record of live exams, one SQLite file."""
