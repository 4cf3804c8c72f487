"""A real Debezium for the tests: PostgreSQL, Kafka Connect with Debezium's connector, and a shop whose rows change."""
