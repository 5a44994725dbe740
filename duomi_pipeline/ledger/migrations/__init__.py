"""Versions of the ledger's tables, for alembic. A change of `schema.py` needs a file in `versions/`."""
