"""
Sluice: Kafka streams as Cypher clauses, inside Memgraph. This package runs inside the server; `sluice_tools` is what
runs outside of it.

From the top down; no import goes upwards:

    procedures/   what the procedures of `streams.py` do, in the caller's transaction
    supervising/  makes what runs equal what the graph says: supervisor, workers, the handle that survives a reload
    engine/       one running stream: groups of batches into transactions, retries, gaps, broker health
    persistence/  all that is in the graph: metadata nodes, statements of the loopback connection, the sink
    scripting/    transforms: fetched, pinned, and run in a process of their own
    ready/        transforms that need no script    no I/O
    brokers/      Kafka
    folding/      queries into fewer queries       no I/O
    clauses/      text -> statement -> CALL        no I/O
    cypher/       the lexer that both share
    values/       what a stream, a batch, a message is
    host/         settings, allow-list, and what is known of the server
    bolt/         the wire protocol and its client
    errors.py     one tree of errors

Importing this package starts nothing: no thread, no socket, no third-party import. `sluice.supervising.process` starts
the supervisor.
"""

__version__ = "0.1.0"
