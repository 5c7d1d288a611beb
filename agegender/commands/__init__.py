"""The commands of `python -m agegender`, a module each.

Every module but `choice`, `answers` and `progress`, which they share, has
`add_parser(subparsers)`, which sets `run` as the default of its parser, and
`run(args) -> int`, which returns the exit code.
"""
