"""Mutated files of every format, read, described and validated: what happens, for docs/reliability.md."""
