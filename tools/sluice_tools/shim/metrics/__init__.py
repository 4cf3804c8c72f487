"""Prometheus metrics of the shim and of the streams in the server that it leads to."""
