"""What is in the graph: metadata nodes, the statements that read and write them, and the sink of transactions."""
