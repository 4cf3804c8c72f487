"""What runs: the supervisor, and for each running stream a worker that takes its batches to the graph."""
