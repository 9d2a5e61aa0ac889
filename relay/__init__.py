"""Carries committed events from the log to Kafka: at least once, in order per key, by one leader at a time."""
