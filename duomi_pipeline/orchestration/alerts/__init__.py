"""Alerts about failed image runs, one message per backfill or command."""
