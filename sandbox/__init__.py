"""
A stand-in for Memgraph, for tests and the demo on machines that have none. What it shares with the real one is in
docs/sandbox.md.

Reading order: `server` (start and stop), `session` (one client), `dialect` (which statements are whose), `procedures`
and `native` (what `mgp` stands on), `database` (the graph, in a process of its own).
"""
