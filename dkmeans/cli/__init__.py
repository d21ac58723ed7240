"""The command line: one file for each sub-command, a parser and a thin main over the library."""
