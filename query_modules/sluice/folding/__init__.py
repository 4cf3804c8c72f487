"""
Folding: the queries of a batch become fewer queries that do the same to the graph.

    folder        batches in, folded queries out; remembers the texts
      needs       what a text needs of the server to be folded
      effects     a text into its plan: what it reads and changes   (grammar, query and what they need)
        template  a text into those that unwind rows
        series    a text into the one that does several queries one after the other
        chain     a text into the one that does queries of which each finds what one before it has made
      conflicts   two plans into the values that decide whether their queries may change places
      schedule    the queries of a batch into groups   (lane; whole: one group for each text)
      unwinding   a group's rows as they are sent   (spread: maps as their values)
    merge_reader  batches in, the keys of what they merge out; remembers the texts
      merges      a text into the vertices and relationships that it creates unless it finds them
"""

from sluice.folding.folder import FOLDED, Folded, Folder, explain
from sluice.folding.needs import REASONS, Need, lacking

__all__ = ["FOLDED", "REASONS", "Folded", "Folder", "Need", "explain", "lacking"]
