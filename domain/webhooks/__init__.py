"""What senders of webhooks do on the wire: how they sign, how they name a delivery, how they wrap an event."""
