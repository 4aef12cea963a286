"""The command line: parse, call, print. Nothing is decided here that a library user would miss."""
