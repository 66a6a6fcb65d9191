"""`fivefold flows`: decision flows as files."""
