"""Final answers in mathematics: found in texts, parsed, compared."""
