"""Kills, faults and three books: see `__main__`."""
