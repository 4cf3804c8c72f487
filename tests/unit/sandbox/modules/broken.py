"""A query module that cannot be loaded, which keeps no other from being loaded."""

raise RuntimeError("broken on purpose")
