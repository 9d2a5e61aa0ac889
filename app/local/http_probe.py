"""The smallest HTTP client there is: does a server answer 200? For processes that must stay light."""

import asyncio
import contextlib


async def answers_ok(host: str, port: int, path: str, timeout_s: float = 2) -> bool:
    """Whether `GET path` gives 200 within the time."""
    # A server bound to the wildcard address is reached through loopback.
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    try:
        async with asyncio.timeout(timeout_s):
            return await _get(target, port, path)
    except (OSError, TimeoutError):
        return False


async def _get(host: str, port: int, path: str) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        shown = f"[{host}]" if ":" in host else host
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {shown}:{port}\r\nConnection: close\r\n\r\n".encode())
        status = await reader.readline()
        return status.split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
