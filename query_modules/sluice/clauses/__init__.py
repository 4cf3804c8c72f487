"""
The stream clauses: `text -> statement -> CALL`. No I/O, and nothing of ours but `sluice.cypher` and `sluice.errors`.

Reading order: `statements` and `values` (what can be said), `parser` and `grammar` (how), `binding` (what parameters
may hold), `translation` (what it becomes). `source` knows what may stand where a value may, `printer` is the way back.
"""

from sluice.clauses.parser import Beginning, parse, recognise
from sluice.clauses.printer import to_text
from sluice.clauses.statements import (
    AlterStream,
    CreateStream,
    DropStream,
    Existing,
    Explain,
    Explanation,
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
from sluice.clauses.translation import Translation, translate, translation_of
from sluice.clauses.values import (
    Config,
    Count,
    End,
    Item,
    Items,
    Map,
    Offsets,
    OffsetsByTopic,
    Parameter,
    Relative,
    Scalar,
    Signed,
    Target,
    Text,
    Timestamp,
)

__all__ = [
    "AlterStream", "Beginning", "Config", "Count", "CreateStream", "DropStream", "End", "Existing", "Explain",
    "Explanation", "Item", "Items", "Map", "Offsets", "OffsetsByTopic", "Parameter", "Relative", "ReloadTransform",
    "Scalar", "SeekStream", "ShowCreateStream", "ShowStreams", "Signed", "StartAllStreams", "StartStream",
    "Statement", "StopAllStreams", "StopStream", "Target", "TestStream", "Text", "Timestamp", "Translation",
    "parse", "recognise", "to_text", "translate", "translation_of",
]  # fmt: skip
