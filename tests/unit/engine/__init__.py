"""The engine, with fakes for all that is not its own."""
