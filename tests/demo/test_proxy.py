"""The wire in front of a host: what is cut is silent, and nothing that was sent is lost."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps

import pytest

from portal.demo.proxy import Proxy
from tests.demo.helpers import syn

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        async def within() -> None:
            await asyncio.wait_for(test(), 20)

        asyncio.run(within())

    return run


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _wire(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy(_free_port(), server.sockets[0].getsockname()[1])
    proxy.start()
    proxy.heal()
    try:
        yield proxy
    finally:
        await proxy.close()
        server.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _connect(proxy: Proxy) -> _Streams:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def _silent(reader: asyncio.StreamReader) -> bool:
    try:
        await asyncio.wait_for(reader.read(1), 0.1)
    except TimeoutError:
        return True
    return False


@_in_loop
async def test_a_cut_in_the_middle_of_a_stream_loses_and_changes_no_byte() -> None:
    payload = os.urandom(8 << 20)
    async with _wire(_echo) as proxy:
        reader, writer = await _connect(proxy)
        sending = asyncio.create_task(_send(writer, payload))
        got = await reader.readexactly(1 << 20)
        proxy.hole()
        while chunk := await _arrived(reader):
            got += chunk
        assert len(got) < len(payload)
        proxy.heal()
        got += await reader.readexactly(len(payload) - len(got))
        await sending
        writer.close()
    assert got == payload


async def _send(writer: asyncio.StreamWriter, payload: bytes) -> None:
    writer.write(payload)
    await writer.drain()


async def _arrived(reader: asyncio.StreamReader) -> bytes:
    """Return what arrived before the cut, nothing once the line is silent."""
    try:
        return await asyncio.wait_for(reader.read(1 << 20), 0.1)
    except TimeoutError:
        return b""


@_in_loop
async def test_a_hole_swallows_every_syn_and_healing_answers_again() -> None:
    async with _wire(_echo) as proxy:
        for _ in range(3):
            proxy.hole()
            for _ in range(3):
                assert await asyncio.to_thread(syn, proxy.port) == "silence"
            proxy.heal()
            reader, writer = await _connect(proxy)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()


@_in_loop
async def test_the_end_of_a_connection_passes_a_whole_wire_and_waits_for_a_cut_one() -> None:
    hang_up = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hang_up.wait()
        writer.close()

    async with _wire(serve) as proxy:
        reader, writer = await _connect(proxy)
        await asyncio.sleep(0)
        assert await _silent(reader)
        proxy.hole()
        hang_up.set()
        assert await _silent(reader)
        proxy.heal()
        assert await asyncio.wait_for(reader.read(1), 5) == b""
        writer.close()


@_in_loop
async def test_a_host_without_libvirtd_is_told_from_a_dead_one() -> None:
    async with _wire(_echo) as proxy:
        proxy.refusing = True
        with pytest.raises(ConnectionResetError):
            await (await _connect(proxy))[0].read(1)


@_in_loop
async def test_connections_of_a_buried_host_stay_silent_until_they_ask_one_that_is_back() -> None:
    async with _wire(_echo) as proxy:
        reader, writer = await _connect(proxy)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        proxy.hole()
        proxy.bury()
        writer.write(b"y")
        assert await _silent(reader)
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 5)
        writer.close()
