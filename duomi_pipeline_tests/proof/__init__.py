"""The proof of the promise over recorded schedules and over random stories."""
