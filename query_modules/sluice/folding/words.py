"""
The words of Cypher that folding has to know.

Source: `Cypher.g4`, `MemgraphCypher.g4` and `awesome_memgraph_functions.cpp` of Memgraph v2.14.1.
"""

from __future__ import annotations

import re

is_name = re.compile("[A-Za-z_][A-Za-z0-9_]*").fullmatch
"Whether a text is a name that needs no quotes, unless it is a word of Cypher."


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPERATORS = frozenset({"+", "-", "*", "/", "%", "^", "=~"})

RESERVED = _words(
    """
    ALL AND ANY AS ASSERT BY CALL CASE CONTAINS COUNT CREATE DELETE DETACH DISTINCT ELSE END ENDS EXISTS EXTRACT
    FALSE FILTER FOREACH IN IS LIMIT LOAD MATCH MERGE NONE NOT NULL ON OPTIONAL OR ORDER REDUCE REMOVE RETURN SET
    SINGLE SKIP STARTS THEN TRUE UNION UNWIND USING WHEN WHERE WITH XOR YIELD
    """
)
"Keywords that end or begin something where a variable may stand; a variable of such a name is not understood."

CLAUSES = _words(
    """
    CALL CREATE DELETE DETACH FOREACH LOAD MATCH MERGE ON OPTIONAL QUERY REMOVE RETURN SET UNION UNWIND USING WHERE
    WITH YIELD
    """
)
"Keywords that end a pattern or a condition if they are outside its brackets."

PURE = _words(
    """
    abs acos asin atan atan2 ceil coalesce contains cos e endswith exp floor head last left log log10 ltrim pi point
    range replace reverse right round rtrim sign sin size split sqrt startswith substring tail tan toboolean
    tobooleanornull tofloat tofloatornull tointeger tointegerornull tolower tostring tostringornull toupper trim
    duration
    """
)
"Functions whose value depends on their arguments alone, in lower case."

NEVER_FLOATS = _words(
    """
    left ltrim replace right rtrim size substring tointeger tointegerornull tolower tostring tostringornull toupper
    trim
    """
)
"Functions whose value is text, an integer or null, in lower case."

CLOCKS = frozenset({"timestamp", "date", "localtime", "localdatetime", "datetime"})
"Functions that ask the clock when they are called without arguments, and are pure with some."

RANDOM = frozenset({"rand", "randomuuid", "uniformsample"})

HARMLESS = frozenset({"id", "labels", "type", "properties", "keys", "count", "collect"})
"Functions of a vertex or an edge that neither fail nor change anything."
