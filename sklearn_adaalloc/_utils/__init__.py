"""Small helpers that all rooms use: checks, optional imports, identities."""
