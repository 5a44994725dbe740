"""Looking after what is there: folder and ledger compared, pictures checked, rerolled, models probed."""
