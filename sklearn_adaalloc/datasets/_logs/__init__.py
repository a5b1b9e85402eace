"""Readers of logs: what evaluation tools wrote of samples, as a reward table.

Each reader turns a format into :class:`~.table.Sample` tuples, one per sample; the
table is made of them in one place.
"""
