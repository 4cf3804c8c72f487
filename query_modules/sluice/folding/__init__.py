"""
Folding: the queries of a batch become fewer queries that do the same to the graph.

    folder        batches in, folded queries out; remembers the texts
      effects     a text into its plan: what it reads and changes   (grammar, query and what they need)
        template  a text into the one that unwinds rows   (spread: maps of properties as lists of their values)
        series    a text into the one that does several queries one behind the other
      conflicts   two plans into the values that decide whether their queries may change places
      schedule    the queries of a batch into groups   (lane)
"""

from sluice.folding.folder import FOLDED, Folded, Folder, explain

__all__ = ["FOLDED", "Folded", "Folder", "explain"]
