"""Cases on engines, judged: one orchestration for the API, the command line, fuzzing and tests.

Cases and options enter; a report leaves. The room may import every room below it, and none of `api`, `cli`, `fuzz` and
`bench`.
"""
