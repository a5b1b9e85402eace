"""One file for each command.

A file has a `SUMMARY` and an `EXAMPLE` for the help, `add_arguments(parser)`, and
`run(options)`. The list `COMMANDS` of `_main` says in which order the help names them.
At its top a file imports nothing heavy.
"""
