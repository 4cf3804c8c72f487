"""Plain values: what a stream, its configuration, a batch, a message and a failed message are. No I/O."""
