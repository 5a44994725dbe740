"""Tests of what a model misreads."""
