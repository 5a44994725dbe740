"""Tests of the served gallery: over HTTP against a real process, and in a browser."""
