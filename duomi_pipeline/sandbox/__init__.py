"""A local service that speaks the Duomi contract, for trying and testing without a key."""
