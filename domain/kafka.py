"""Kafka credentials and TLS, which the relay and the consumers share."""

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class KafkaSecurity:
    """`mechanism`: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, or empty without a password. `tls`: None for none."""

    mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    @property
    def protocol(self) -> str:
        """Kafka's word for it."""
        transport = "PLAINTEXT" if self.tls is None else "SSL"
        return f"SASL_{transport}" if self.mechanism else transport


NO_SECURITY = KafkaSecurity()
