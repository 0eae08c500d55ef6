"""One live stream from its configuration to its end: what is said when, and what goes wrong."""

import asyncio
import time
from typing import Final

from fastapi import WebSocket
from pydantic import BaseModel
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect, WebSocketState

from app.api.access import Access
from app.api.close_codes import DONE, close_code_of, reason_of
from app.api.problems import problem_of
from app.api.request_context import record_of
from app.api.stream_context import StreamRecord
from app.api.stream_messages import (
    HOW_TO_BEGIN,
    DoneMessage,
    ProblemMessage,
    ResultMessage,
    StreamConfiguration,
    parse_object,
)
from app.api.stream_opening import check, ready_message
from app.api_keys import Scope
from app.audio.stream_windows import StreamWindow, StreamWindows
from app.errors import (
    MisplacedMessageError,
    NotReadyError,
    OverloadedError,
    StoppingError,
    StreamIdleError,
)
from app.inference.artifact import Manifest
from app.inference.classification import Classification
from app.inference.store import ModelReference
from app.service import Service
from app.streams import Streams

# A hop is put off for so long while there is no place for it among requests.
_PATIENCE_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.05
_HOW_TO_END: Final = (
    'After the first message, send audio as binary, and {"type": "end"} at its end.'
)


class StreamSession:
    """Speaks with the client of one stream.

    One thing at a time: while a window is in computation, nothing is read, and so the client is
    held back as soon as the connection is full. Nothing that it sent is left out.

    Args:
        websocket: the client's, not accepted yet.
        service: classifies the windows.
        access: says whether the client may.
        streams: has a place for the stream, or not, and may tell it to end.
    """

    def __init__(
        self, websocket: WebSocket, service: Service, access: Access, streams: Streams
    ) -> None:
        self._websocket = websocket
        self._service = service
        self._access = access
        self._streams = streams
        record = record_of(websocket.scope)
        assert isinstance(record, StreamRecord)
        self._record = record
        self._stopping = False
        self._waiting: asyncio.Timeout | None = None

    async def run(self) -> None:
        """Serve the stream to its end, whatever that is."""
        await self._websocket.accept()
        try:
            with self._streams.connected(self):
                await self._serve()
        except WebSocketDisconnect:
            await self._read_to_the_end()  # the client has left: nobody is there to be told a thing
        except Exception as error:  # whatever it is, the client is to learn of it
            await self._close_with(error)

    def stop(self) -> None:
        """Close the stream soon, since the service ends."""
        self._stopping = True
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(0)

    async def _serve(self) -> None:
        configuration = await self._receive_configuration()
        await self._access.admit(self._websocket, Scope.CLASSIFY, configuration.api_key)
        with self._streams.place():
            # One version to the end of the stream: its labels and its window do not change.
            model = self._service.catalogue.resolve(configuration.model, configuration.version)
            manifest = self._service.catalogue.store.manifest(model)
            check(configuration, manifest, self._service.settings)
            self._record.model = model
            await self._send(ready_message(configuration, manifest, self._record.request_id))
            await self._answer_all(configuration, model, manifest)
        await self._websocket.close(DONE, "the stream has ended")

    async def _receive_configuration(self) -> StreamConfiguration:
        seconds = self._service.settings.header_seconds
        message = await self._receive(
            seconds, f"No message came within {seconds:g} seconds. {HOW_TO_BEGIN}"
        )
        text = message.get("text")
        if text is None:
            raise MisplacedMessageError(f"The first message is binary. {HOW_TO_BEGIN}")
        return StreamConfiguration.parse(text)

    async def _answer_all(
        self, configuration: StreamConfiguration, model: ModelReference, manifest: Manifest
    ) -> None:
        """Answer each window that the audio completes, until its end, and then the rest."""
        window_seconds = manifest.front_end_spec.window_seconds
        windows = StreamWindows(configuration.samples, window_seconds, configuration.hop_seconds)
        try:
            while (chunk := await self._receive_chunk()) is not None:
                for window in windows.push(chunk):
                    await self._answer(window, configuration, model)
            if (rest := windows.rest()) is not None:
                await self._answer(rest, configuration, model)
        finally:
            self._record.audio_seconds = windows.heard_seconds
        await self._send(
            DoneMessage(
                results=self._record.n_results,
                audio_seconds=windows.heard_seconds,
                ignored_bytes=windows.unfinished_bytes,
            )
        )

    async def _receive_chunk(self) -> bytes | None:
        """Return the next piece of audio, or None where the client says that there is no more."""
        seconds = self._service.settings.stream_idle_seconds
        message = await self._receive(
            seconds, f"No audio came for {seconds:g} seconds. Open a new stream when there is some."
        )
        text = message.get("text")
        if text is None:
            chunk: bytes = message["bytes"]
            return chunk
        if parse_object(text, _HOW_TO_END) != {"type": "end"}:
            raise MisplacedMessageError(f"The message is not known here. {_HOW_TO_END}")
        return None

    async def _receive(self, seconds: float, late: str) -> Message:
        """Return the next message.

        Raises:
            StreamIdleError: none came in time; `late` is its sentence.
            StoppingError: the service ends.
            WebSocketDisconnect: the client has left.
        """
        self._check_stopping()
        try:
            async with asyncio.timeout(seconds) as self._waiting:
                message = await self._websocket.receive()
        except TimeoutError:
            self._check_stopping()
            raise StreamIdleError(late) from None
        finally:
            self._waiting = None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        return message

    def _check_stopping(self) -> None:
        if self._stopping:
            raise StoppingError(
                "The service has been asked to stop. Open a new stream: another one answers, or "
                "this one when it is back."
            )

    async def _answer(
        self, window: StreamWindow, configuration: StreamConfiguration, model: ModelReference
    ) -> None:
        answer = await self._classify(window.wav, model)
        await self._send(ResultMessage.of(window, answer, configuration.options))
        self._record.n_results += 1
        self._service.metrics.count_stream_result()

    async def _classify(self, wav: bytes, model: ModelReference) -> Classification:
        """Classify a window, when there is a place for it."""
        service = self._service
        patience_ends_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            self._check_stopping()
            try:
                with service.admitted() as block:
                    block.write(wav)
                    give_up_at = time.monotonic() + service.settings.deadline_seconds
                    return await service.classify(
                        model.name, str(model.version), block, give_up_at, is_live=True
                    )
            except (OverloadedError, NotReadyError):
                if time.monotonic() > patience_ends_at:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _send(self, message: BaseModel) -> None:
        await self._websocket.send_text(message.model_dump_json())

    async def _read_to_the_end(self) -> None:
        """Pass over what the client sent before it left, up to its close code, which is logged."""
        while self._websocket.client_state is WebSocketState.CONNECTED:
            await self._websocket.receive()

    async def _close_with(self, error: Exception) -> None:
        problem = problem_of(self._websocket, error)
        self._record.code = problem.code
        reason = reason_of(problem.code, problem.title)
        try:
            await self._send(ProblemMessage.of(problem))
            await self._websocket.close(close_code_of(type(error)), reason)
        except WebSocketDisconnect:
            await self._read_to_the_end()  # it has left meanwhile
