"""Tests of looking after what is there."""
