"""Dagster's event log with many events in one transaction, on SQLite and PostgreSQL."""
