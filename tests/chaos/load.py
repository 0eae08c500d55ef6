"""Requests at a steady rate, whatever the answers, and the verdict on each answer."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

# What a service in trouble may say to a request that is in order.
CODED: Final = frozenset(
    {"overloaded", "worker_crashed", "deadline_exceeded", "not_ready", "out_of_memory"}
)
TOLERANCE: Final = 1e-4
# A client that never hears back would wait for ever; the service's own deadline is half of this.
PATIENCE_SECONDS: Final = 60.0
_LONGEST_CATCH_UP_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Question:
    """A file, and the answers that are right.

    Attributes:
        name: what it is called in the report.
        data: its bytes.
        status: that of the answer.
        code: that of the problem, where the answer is one.
        by_version: probabilities by label, for each version that may answer.
    """

    name: str
    data: bytes
    status: int = 200
    code: str | None = None
    by_version: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What became of the requests.

    Attributes:
        outcomes: how many ended how: «answered», «refused as it should be», or a problem's code.
        wrong: answers that are not right, in words.
        lost: requests that got no answer, in words.
        turned_away: connections that the system refused, as nobody listened any more.
        seconds_of: latencies by outcome.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    turned_away: int = 0
    seconds_of: dict[str, list[float]] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """How many got the right answer."""
        return self.outcomes["answered"]


class Load:
    """Sends questions to a service.

    Args:
        session: what sends them.
        url: where classify is.
        clips: questions in order.
        hostile: questions that are to be refused, or that are traps.
        hostile_share: how many of all requests are hostile, from 0 to 1.
        seed: of the choice.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        clips: list[Question],
        hostile: list[Question],
        hostile_share: float,
        seed: int = 0,
    ) -> None:
        self._session = session
        self._url = url
        self._clips = clips
        self._hostile = hostile
        self._hostile_share = hostile_share
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._made = time.monotonic()
        self.tally = Tally()

    async def at_rate(self, per_second: float, until: asyncio.Event) -> float:
        """Begin so many requests a second, and return how many a second there really were.

        What could not be begun in time, since this client was held up, is left out: to make up for
        it would be an avalanche.
        """
        started = last = time.monotonic()
        n_begun = 0
        due = 0.0
        while not until.is_set():
            await asyncio.sleep(0.005)
            now = time.monotonic()
            due += min(now - last, _LONGEST_CATCH_UP_SECONDS) * per_second
            last = now
            while due >= 1:
                self._begin()
                n_begun += 1
                due -= 1
        return n_begun / (time.monotonic() - started)

    async def in_turns(self, n_clients: int, seconds: float) -> float:
        """Have clients ask one question after the other; return answers a second."""
        end = time.monotonic() + seconds
        before = self.tally.answered

        async def ask() -> None:
            while time.monotonic() < end:
                await self._ask(self._choose())

        await asyncio.gather(*(ask() for _ in range(n_clients)))
        return (self.tally.answered - before) / seconds

    async def settle(self) -> None:
        """Wait until every request has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self) -> None:
        task = asyncio.create_task(self._ask(self._choose()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _choose(self) -> Question:
        hostile = self._random.random() < self._hostile_share
        return self._random.choice(self._hostile if hostile else self._clips)

    async def _ask(self, question: Question) -> None:
        form = aiohttp.FormData()
        form.add_field("file", question.data, filename="clip", content_type="audio/wav")
        started = time.monotonic()
        try:
            async with self._session.post(self._url, data=form) as response:
                body = await response.read()
                self._judge(question, response.status, body, time.monotonic() - started)
        except aiohttp.ClientConnectorError:
            self.tally.turned_away += 1
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            at = f"{time.monotonic() - self._made:.1f} s"
            self.tally.lost.append(f"{question.name} at {at}: {error!r}")

    def _judge(self, question: Question, status: int, body: bytes, seconds: float) -> None:
        tally = self.tally
        try:
            answer: dict[str, Any] = json.loads(body)
        except ValueError:
            tally.wrong.append(f"{question.name}: {status} and no JSON")
            return
        code = answer.get("code")
        if status in (503, 504) and code in CODED:
            outcome = code
        elif status == question.status == 200:
            if difference := _difference(question, answer):
                tally.wrong.append(f"{question.name}: {difference}")
                return
            outcome = "answered"
        elif status == question.status and code == question.code:
            outcome = "refused as it should be"
        else:
            tally.wrong.append(f"{question.name}: {status} {code}: {answer.get('detail')}")
            return
        tally.outcomes[outcome] += 1
        tally.seconds_of.setdefault(outcome, []).append(seconds)


def _difference(question: Question, answer: dict[str, Any]) -> str | None:
    """Say how an answer differs from the right one of the version that it names."""
    if not question.by_version:
        return None
    expected = question.by_version.get(answer["model"]["version"])
    if expected is None:
        return f"answered by version {answer['model']['version']}"
    found = answer["probabilities"]
    if set(found) != set(expected):
        return "other labels"
    worst = max(abs(found[label] - expected[label]) for label in expected)
    return f"probabilities differ by {worst:.2g}" if not worst <= TOLERANCE else None
