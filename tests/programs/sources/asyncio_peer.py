"""asyncio as server (`serve TCP UDP UNIXPATH`) and as client (`talk TCP UDP UNIXPATH CLOSED`)."""

import asyncio
import signal
import socket
import sys
import tempfile

BIG = bytes(range(256)) * 1500


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


class Ask(asyncio.DatagramProtocol):
    def __init__(self):
        self.answers = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.answers.put_nowait(data)

    def error_received(self, exc):
        self.answers.put_nowait(repr(exc).encode())


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(tcp, udp, path):
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", int(udp)))
    async with await asyncio.start_unix_server(echo, path), await asyncio.start_server(echo, "127.0.0.1", int(tcp)):
        await over.wait()


async def exchange(reader, writer, data):
    async def give():
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    giving = asyncio.create_task(give())
    received = await reader.read()
    await giving
    writer.close()
    await writer.wait_closed()
    return received == data


async def talk(tcp, udp, path, closed):
    loop = asyncio.get_running_loop()
    print("stream", await exchange(*await asyncio.open_connection("127.0.0.1", int(tcp)), BIG))
    print("by name", await exchange(*await asyncio.open_connection("localhost", int(tcp)), b"name"))
    print("unix", await exchange(*await asyncio.open_unix_connection(path), BIG))

    async def one(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(tcp))
        return await exchange(reader, writer, b"%d" % number)

    print("together", all(await asyncio.gather(*(one(number) for number in range(30)))))

    transport, asked = await loop.create_datagram_endpoint(Ask, remote_addr=("127.0.0.1", int(udp)))
    for text in (b"first", b"second"):
        transport.sendto(text)
        print("datagram", await asked.answers.get())
    transport.close()
    transport, asked = await loop.create_datagram_endpoint(Ask, remote_addr=("127.0.0.1", int(closed)))
    transport.sendto(b"to nobody")
    print("closed", await asked.answers.get())
    transport.close()

    with socket.create_connection(("127.0.0.1", int(tcp))) as plain, tempfile.TemporaryFile() as file:
        plain.setblocking(False)
        file.write(b"from a file")
        file.seek(0)
        print("sendfile", await loop.sock_sendfile(plain, file), await loop.sock_recv(plain, 100))

    try:
        await asyncio.open_connection("127.0.0.1", int(closed))
    except OSError as error:
        print(type(error).__name__)
    try:
        async with asyncio.timeout(0.05):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(tcp))
            await reader.read(1)
    except TimeoutError:
        print("timed out")
        writer.close()

    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    print("subprocess", await process.communicate(b"through a child"))


if __name__ == "__main__":
    asyncio.run({"serve": serve, "talk": talk}[sys.argv[1]](*sys.argv[2:]))
