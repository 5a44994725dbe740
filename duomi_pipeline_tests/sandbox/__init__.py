"""Tests of the sandbox service."""
