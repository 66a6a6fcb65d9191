"""A load generator on raw sockets, in a process of its own: connections that post one body again and again."""

import asyncio
import json
import sys
from time import perf_counter, process_time

CONNECTIONS = 8


async def load(port: int, path: str, headers: dict[str, str], body: bytes, requests: int) -> dict[str, float]:
    """Post *body* *requests* times over 8 connections; give requests a second, milliseconds, and own CPU time."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    request = "\r\n".join(lines).encode() + body
    times_ms: list[float] = []

    async def client(share: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(share):
            begun = perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            times_ms.append(1_000 * (perf_counter() - begun))
        writer.close()

    connections = min(CONNECTIONS, requests)
    begun, busy = perf_counter(), process_time()
    await asyncio.gather(*(client(requests // connections) for _ in range(connections)))
    seconds = perf_counter() - begun
    times_ms.sort()
    return {
        "per_second": len(times_ms) / seconds,
        "p50_ms": times_ms[len(times_ms) // 2],
        "p99_ms": times_ms[int(len(times_ms) * 0.99)],
        "load_us": 1e6 * (process_time() - busy) / len(times_ms),
    }


if __name__ == "__main__":
    job = json.load(sys.stdin)
    figures = load(job["port"], job["path"], job["headers"], job["body"].encode(), job["requests"])
    json.dump(asyncio.run(figures), sys.stdout)
