"""What the procedures of `streams.py` do, in the caller's transaction."""
