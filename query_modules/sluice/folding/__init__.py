"""
Folding: the queries of a batch become fewer queries that do the same to the graph.

    folder          batches in, folded queries out; remembers the texts
      plan          a text into what is known of it
        parser      a text into a query         (token_stream, expression_parser, patterns, cuts)
        needs       what the query needs of the server to be folded
        access      what the query reads and writes   (access_reader, assignments, scope, notes, row_order)
        rewrites    what queries of the text may become
          template  rows of an UNWIND
          series    one query after the other
          chain     rows of which each finds what an earlier one has made
      conflicts     two texts into the values that decide whether their queries may change places   (encounters)
      schedule      the queries of a batch into groups   (text_queue, solitary, map_check; whole: a group for each text)
      unwinding     a group's rows as they are sent   (spread: maps as their values)
    merge_reader    batches in, the keys of what they merge out; remembers the texts
      merges        a text into the vertices and relationships that it creates unless it finds them
    subscripts      texts into such as a server understands that mistakes fields of parameters
    lookups         a text into the parameters by which it looks for vertices and relationships
"""

from sluice.folding.folder import FOLDED, Folded, Folder, explain
from sluice.folding.merge_reader import null_keys
from sluice.folding.needs import REASONS, UNFOLDED, Need, lacking
from sluice.folding.subscripts import subscripted

__all__ = [
    "FOLDED",
    "REASONS",
    "UNFOLDED",
    "Folded",
    "Folder",
    "Need",
    "explain",
    "lacking",
    "null_keys",
    "subscripted",
]
