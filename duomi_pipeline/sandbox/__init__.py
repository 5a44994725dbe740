"""A local service that implements the Duomi API, for use and tests without a key. The cards are drawn in `cards`."""
