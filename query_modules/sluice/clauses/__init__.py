"""
The stream clauses: `text -> statement -> CALL`. No I/O, and nothing of ours but `sluice.errors`.

Reading order: `statements` (what can be said), `parser` (the grammar), `translation` (what it becomes). `lexer` knows
Cypher's lexemes, `printer` is the way back.
"""

from sluice.clauses.parser import parse
from sluice.clauses.printer import to_text
from sluice.clauses.statements import (
    Count,
    CreateStream,
    DropStream,
    Parameter,
    ShowStreams,
    StartAllStreams,
    StartStream,
    Statement,
    StopAllStreams,
    StopStream,
    TestStream,
    Text,
)
from sluice.clauses.translation import Translation, translate

__all__ = [
    "Count",
    "CreateStream",
    "DropStream",
    "Parameter",
    "ShowStreams",
    "StartAllStreams",
    "StartStream",
    "Statement",
    "StopAllStreams",
    "StopStream",
    "TestStream",
    "Text",
    "Translation",
    "parse",
    "to_text",
    "translate",
]
