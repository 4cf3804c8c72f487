"""
Sluice: Kafka streams as Cypher clauses, inside Memgraph.

Reading order: `model` (what a stream is), `verbs.service` (the verbs that procedures call), `workers.supervisor` (makes
what runs equal what the graph says), `workers.worker` (one stream: Kafka, batch, transform, one transaction).

Importing this package does nothing else: no thread, no socket, no third-party import. `sluice.process` starts the
machinery.
"""

__version__ = "0.1.0"
