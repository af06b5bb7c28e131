#!/usr/bin/env python3
"""The targets: an echo on a TCP port and on a unix socket, with half-close.

    echo.py PORT PATH
"""
import asyncio, os, socket, struct, sys

PORT, PATH = int(sys.argv[1]), sys.argv[2]


def reset_when_closed(writer, on):
    """What a killed target leaves is a reset, not an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))


async def echo(reader, writer):
    reset_when_closed(writer, True)
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        await writer.drain()
        reset_when_closed(writer, False)
        writer.write_eof()
        writer.close()
    except OSError:
        writer.transport.abort()


async def main():
    if os.path.exists(PATH):
        os.unlink(PATH)
    await asyncio.start_unix_server(echo, PATH, backlog=1024)
    async with await asyncio.start_server(echo, "127.0.0.1", PORT, backlog=1024) as server:
        await server.serve_forever()


asyncio.run(main())
