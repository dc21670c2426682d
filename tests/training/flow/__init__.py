"""Tests of what teaches the flow finder."""
