"""Kafka: a topic read and asked about, positions told to lag monitors, dead letters delivered."""
