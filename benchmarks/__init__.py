"""Runnable scripts, each of which prints a table and writes its figures."""
