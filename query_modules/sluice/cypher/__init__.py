"""Cypher's lexemes, as far as clauses and folding need them. No I/O."""
