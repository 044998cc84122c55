"""Memory for bodies: shares of environments and senders, and who gives way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from experiment_pipeline.api import admission
from experiment_pipeline.api.admission import LEAST_BYTES, Admission, Body
from experiment_pipeline.errors import BodyTooLarge, GaveWay, Overloaded

KIB = 1 << 10
MIB = 1 << 20


def buffer(environment_share: float = 1.0, sender_share: float = 1.0) -> Admission:
    """A buffer of 1 MiB with bodies of at most 256 KiB."""
    return Admission(
        buffer_bytes=MIB, environment_share=environment_share, sender_share=sender_share, largest_body=256 * KIB
    )


@dataclass
class Stalling:
    """Bodies whose senders have sent something and then nothing more."""

    memory: Admission
    stack: ExitStack
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def send(self, environment_key: str, sender: str, size: int) -> Body:
        body = self.stack.enter_context(self.memory.admit(environment_key, sender))
        arrived = asyncio.Event()

        async def parts() -> AsyncIterator[bytes]:
            yield bytes(size)
            arrived.set()
            await asyncio.Event().wait()

        self.tasks.append(asyncio.create_task(body.read(parts())))
        await arrived.wait()
        return body

    async def ended(self) -> list[object]:
        """Return the outcomes of the bodies, without those that still wait."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [task.exception() for task in self.tasks if task.done()]


async def arrive(memory: Admission, environment_key: str, sender: str, size: int) -> None:
    """A body that comes whole."""

    async def parts() -> AsyncIterator[bytes]:
        yield bytes(size)

    with memory.admit(environment_key, sender) as body:
        await body.read(parts())
        assert len(body.data) == size


def test_admit__body_that_comes_whole__leaves_nothing_behind() -> None:
    memory = buffer()
    asyncio.run(arrive(memory, "a", "s", 100 * KIB))
    assert memory.held == 0
    assert not memory._bodies
    assert not memory._by_both


def test_read__larger_than_a_body_may_be__is_refused_and_freed() -> None:
    memory = buffer()
    with pytest.raises(BodyTooLarge):
        asyncio.run(arrive(memory, "a", "s", 257 * KIB))
    assert memory.held == 0


def test_admit__another_environment_holds_all__its_oldest_body_gives_way() -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            stalling = Stalling(buffer(), stack)
            oldest = await stalling.send("a", "s", 240 * KIB)
            for _ in range(3):
                await stalling.send("a", "s", 240 * KIB)
            await arrive(stalling.memory, "b", "s", 200 * KIB)
            (gone,) = await stalling.ended()
            assert isinstance(gone, GaveWay)
            assert (oldest.gave_way, oldest.held, len(oldest.data)) == (True, 0, 0)
            for task in stalling.tasks:
                task.cancel()
        assert stalling.memory.held == 0

    asyncio.run(scenario())


def test_admit__fast_bodies_of_the_same_sender__are_refused_rather_than_others_thrown_out() -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            stalling = Stalling(buffer(environment_share=0.5), stack)
            for _ in range(2):
                await stalling.send("a", "s", 200 * KIB)
            with pytest.raises(Overloaded, match="environment 'a' sends more at once than its share"):
                await arrive(stalling.memory, "a", "s", 200 * KIB)
            await arrive(stalling.memory, "b", "s", 200 * KIB)
            assert await stalling.ended() == []
            for task in stalling.tasks:
                task.cancel()

    asyncio.run(scenario())


def test_admit__slow_bodies_of_the_same_sender__give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SLOW_SECONDS", 0.0)

    async def scenario() -> None:
        with ExitStack() as stack:
            stalling = Stalling(buffer(environment_share=0.5), stack)
            for _ in range(2):
                await stalling.send("a", "s", 200 * KIB)
            await arrive(stalling.memory, "a", "s", 200 * KIB)
            (gone,) = await stalling.ended()
            assert isinstance(gone, GaveWay)
            for task in stalling.tasks:
                task.cancel()

    asyncio.run(scenario())


def test_admit__one_sender_holds_an_environment_s_share__another_sender_gets_in() -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            stalling = Stalling(buffer(environment_share=0.5), stack)
            for _ in range(2):
                await stalling.send("a", "greedy", 200 * KIB)
            await arrive(stalling.memory, "a", "modest", 150 * KIB)
            (gone,) = await stalling.ended()
            assert isinstance(gone, GaveWay)
            for task in stalling.tasks:
                task.cancel()

    asyncio.run(scenario())


def test_admit__sender_over_its_share__may_still_send_to_another_environment() -> None:
    """An address may stand for a whole company: its environments do not keep each other out."""

    async def scenario() -> None:
        with ExitStack() as stack:
            stalling = Stalling(buffer(sender_share=0.5), stack)
            for _ in range(2):
                await stalling.send("a", "s", 200 * KIB)
            await arrive(stalling.memory, "b", "s", 150 * KIB)
            (gone,) = await stalling.ended()
            assert isinstance(gone, GaveWay)
            await stalling.send("a", "s", 200 * KIB)
            with pytest.raises(Overloaded, match="Your address sends more at once"):
                await arrive(stalling.memory, "a", "s", 200 * KIB)
            for task in stalling.tasks:
                task.cancel()

    asyncio.run(scenario())


def test_admit__many_empty_bodies__count_and_end() -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            memory = buffer()
            for _ in range(MIB // LEAST_BYTES):
                stack.enter_context(memory.admit("a", "s"))
            with pytest.raises(Overloaded, match="sends more at once than its share"):
                stack.enter_context(memory.admit("a", "s"))

    asyncio.run(scenario())


def test_admit__body_that_is_whole_and_waits_for_the_disk__never_gives_way() -> None:
    async def scenario() -> None:
        memory = buffer()
        with ExitStack() as stack:
            for _ in range(4):
                body = stack.enter_context(memory.admit("a", "s"))

                async def parts() -> AsyncIterator[bytes]:
                    yield bytes(240 * KIB)

                await body.read(parts())
            with pytest.raises(Overloaded):
                await arrive(memory, "b", "s", 100 * KIB)

    asyncio.run(scenario())
