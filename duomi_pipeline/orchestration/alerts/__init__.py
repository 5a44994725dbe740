"""Failed image runs told to people, one message per backfill or command."""
