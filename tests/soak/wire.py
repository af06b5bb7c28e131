#!/usr/bin/env python3
"""The path to a server: carries TCP connections from one port to another. Stopped (SIGSTOP) it is a network that is silent,
killed it is one that resets.

    wire.py LISTEN TARGET
"""
import asyncio, sys

LISTEN, TARGET = int(sys.argv[1]), int(sys.argv[2])


async def pump(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def carry(reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", TARGET)
    except OSError:
        writer.transport.abort()
        return
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
    far_writer.close()
    writer.close()


async def main():
    async with await asyncio.start_server(carry, "127.0.0.1", LISTEN, backlog=1024) as server:
        await server.serve_forever()


asyncio.run(main())
