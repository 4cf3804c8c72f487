"""Transforms: where a script comes from, the process that runs it, and what it may return."""
