"""
The stream clauses: `text -> statement -> CALL`. No I/O, and nothing of ours but `sluice.errors`.

Reading order: `statements` and `values` (what can be said), `parser` (the grammar), `translation` (what it becomes).
`lexer` knows Cypher's lexemes, `source` what may stand where a value may, `printer` is the way back.
"""

from sluice.clauses.parser import is_clause, parse
from sluice.clauses.printer import to_text
from sluice.clauses.statements import (
    AlterStream,
    CreateStream,
    DropStream,
    Existing,
    ReloadTransform,
    SeekStream,
    ShowCreateStream,
    ShowStreams,
    StartAllStreams,
    StartStream,
    Statement,
    StopAllStreams,
    StopStream,
    TestStream,
)
from sluice.clauses.translation import Translation, translate
from sluice.clauses.values import (
    Config,
    Count,
    End,
    Map,
    Offsets,
    Parameter,
    Relative,
    Scalar,
    Signed,
    Target,
    Text,
    Timestamp,
)

__all__ = [
    "AlterStream",
    "Config",
    "Count",
    "CreateStream",
    "DropStream",
    "End",
    "Existing",
    "Map",
    "Offsets",
    "Parameter",
    "Relative",
    "ReloadTransform",
    "Scalar",
    "SeekStream",
    "ShowCreateStream",
    "ShowStreams",
    "Signed",
    "StartAllStreams",
    "StartStream",
    "Statement",
    "StopAllStreams",
    "StopStream",
    "Target",
    "TestStream",
    "Text",
    "Timestamp",
    "Translation",
    "is_clause",
    "parse",
    "to_text",
    "translate",
]
