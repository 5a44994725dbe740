"""Tests of the ledger, on real database files."""
