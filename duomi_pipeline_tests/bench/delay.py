"""A network of some milliseconds: a TCP proxy that hands everything on later, and counts what clients send.

    python -m duomi_pipeline_tests.bench.delay HOST PORT MILLISECONDS

Prints its own port first, and at the end of its input how many packets came from clients: each begins a round trip.
"""

import asyncio
import socket
import sys
from collections.abc import Callable


async def serve(host: str, port: int, milliseconds: float) -> None:
    """Hand on until the input ends."""
    loop = asyncio.get_running_loop()
    packets = 0

    def count() -> None:
        nonlocal packets
        packets += 1

    async def hand_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, seen: Callable[[], None]) -> None:
        while data := await source.read(1 << 16):
            seen()
            loop.call_later(milliseconds / 2000, target.write, data)
        loop.call_later(milliseconds / 2000, target.close)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        for side in (writer, back):
            side.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(hand_on(reader, back, count), hand_on(there, writer, lambda: None))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(packets, flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
