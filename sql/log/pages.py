"""How much of the log is in memory at once: all who read many events read pages, cut by bytes (es.page)."""

PAGE_EVENTS = 5_000
PAGE_BYTES = 8 * 2**20
"""Payload of one page. A single event may be larger, and is a page of its own."""
