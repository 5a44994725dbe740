"""Tests of the guide's class."""
