#!/usr/bin/python3
"""What a proxy without understanding would be: copies octets. stage/copier.py ADDRESS BACKEND PORT=PORT...

It stands in frontdoor's place to show that the matrix can turn red.
"""
import asyncio
import sys


async def copy(reader, writer):
    try:
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def serve(address, backend, port, to):
    async def session(reader, writer):
        # From the client's own address, which on loopback anybody may take.
        client = writer.get_extra_info("peername")[0]
        try:
            there, back = await asyncio.open_connection(backend, to, local_addr=(client, 0))
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, back), copy(there, writer))
        back.close()
        writer.close()

    server = await asyncio.start_server(session, address, port, backlog=256)
    await server.serve_forever()


async def main():
    address, backend = sys.argv[1:3]
    await asyncio.gather(*(serve(address, backend, *map(int, pair.split("="))) for pair in sys.argv[3:]))


if __name__ == "__main__":
    asyncio.run(main())
