"""Sluice's tests: unit tests need nothing but Python, integration tests a host and a real Apache Kafka."""
