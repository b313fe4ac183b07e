"""Lead a port of 127.0.0.1 elsewhere: `tunnel.py PORT HOST THERE`."""

import asyncio
import sys

port, host, there = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    far_reader, far_writer = await asyncio.open_connection(host, there)
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def main() -> None:
    server = await asyncio.start_server(lead, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
