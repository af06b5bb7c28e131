"""Runs in a namespace: echoes on one port, and asks through another by a new connection every 100 ms.

    probe.py ECHO_PORT ASK_PORT RESULTS

Each line of RESULTS is `START END RESULT` in seconds of the monotonic clock, which all processes of a machine share;
RESULT is ok, refused, timeout or lost.
"""
import asyncio, sys, time

EVERY, PATIENCE = 0.1, 5


async def echo(reader, writer):
    try:
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def ask(port, results):
    start = time.monotonic()
    writer = None

    async def once():
        nonlocal writer
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x")
        return "ok" if await reader.read(1) else "lost"

    try:
        result = await asyncio.wait_for(once(), PATIENCE)
    except ConnectionRefusedError:
        result = "refused"
    except (asyncio.TimeoutError, TimeoutError):
        result = "timeout"
    except OSError:
        result = "lost"
    results.write(f"{start:.4f} {time.monotonic():.4f} {result}\n")
    if writer:
        writer.close()


async def main():
    echo_port, ask_port = int(sys.argv[1]), int(sys.argv[2])
    server = await asyncio.start_server(echo, "127.0.0.1", echo_port, backlog=1024)
    pending = set()
    with open(sys.argv[3], "w", buffering=1) as results:
        due = time.monotonic()
        while server:
            task = asyncio.create_task(ask(ask_port, results))
            pending.add(task)
            task.add_done_callback(pending.discard)
            due += EVERY
            await asyncio.sleep(max(0, due - time.monotonic()))


asyncio.run(main())
