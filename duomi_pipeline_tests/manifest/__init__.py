"""Tests of the results manifest: what its rows say, and its files as other programs read them."""
