"""Tests of the gallery: its data, and its page in a browser."""
