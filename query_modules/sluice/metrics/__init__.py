"""
Prometheus metrics of the shim and of the streams behind it. Outside the database only; needs prometheus_client, which
the extra `shim` brings.
"""
