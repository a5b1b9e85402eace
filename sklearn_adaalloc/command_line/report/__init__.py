"""From graded answers to a report: figures, sentences, text and a page.

`evaluation` and `menus` measure, `sentences` says what was measured, `page` and
`pictures` show it. Figures pass between them as plain dicts, as ``--json`` prints them.
"""
