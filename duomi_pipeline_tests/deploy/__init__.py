"""Tests of an installation of several machines."""
