"""The size of a page of the log: whoever reads many events reads pages, which are cut by bytes (es.page)."""

PAGE_EVENTS = 5_000
PAGE_BYTES = 8 * 2**20
"""Payload of one page. A single event may be larger, and is a page of its own."""
