"""Small things that every room uses: checks, optional imports, identities."""
