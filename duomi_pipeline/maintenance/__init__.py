"""Maintenance: compare folder and ledger, check pictures, reroll, probe models, find old files."""
