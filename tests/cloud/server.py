"""The cloud's front: one address for all of AWS, ours and moto's, with faults and counts."""

import asyncio
import json
import traceback

from tests.cloud.answers import fault_of, write_fault, write_json, write_xml
from tests.cloud.caller import ENDPOINT, REGION
from tests.cloud.calls import Call, read_call
from tests.cloud.counts import Counts
from tests.cloud.ecs import Ecs
from tests.cloud.faults import Fault, Faults
from tests.cloud.iam import simulate
from tests.cloud.moto_side import Moto, Passage
from tests.cloud.query_xml import write_result
from tests.cloud.service import AwsFault, Json, Service
from tests.cloud.sns import Sns, read_form
from tests.cloud.sqs import Sqs
from tests.cloud.wire import Connection, Dropped, Request

_OWN = "/_cloud/"
_FORM = b"application/x-www-form-urlencoded"


class Cloud:
    """All services and the server before them."""

    def __init__(self, *, seed: int) -> None:
        self.moto = Moto()
        self._passage = Passage(self.moto.port)
        self.sqs = Sqs(seed=seed)
        self.services: dict[str, Service] = {
            "ecs": Ecs(self.moto.endpoint, self.sqs.put, seed=seed),
            "sns": Sns(self.sqs),
            "sqs": self.sqs,
        }
        self._counts = Counts()
        self._faults = Faults(seed=seed)
        self._connections: set[Connection] = set()
        self._server: asyncio.AbstractServer | None = None

    async def start(self, host: str, port: int) -> str:
        """Begin to answer, and return the endpoint."""
        self.moto.start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._answer, _is_streamed, self._connections), host, port
        )
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            await connection.close()
        for service in self.services.values():
            await service.close()
        self.moto.stop()

    async def _answer(self, request: Request, client: Connection) -> None:
        if request.url.startswith(_OWN):
            await client.write(await self._control(request))
            return
        form = request.body.whole() if _is_form(request) else b""
        call = read_call(request.method, request.url, request.headers, form)
        fault = self._faults.draw(call.service, call.operation)
        if fault is Fault.DOWN:
            raise Dropped
        self._counts.add(call.service, call.operation)
        if fault is Fault.CLOSED:
            raise Dropped
        if fault in {Fault.UNAVAILABLE, Fault.THROTTLED, Fault.DENIED}:
            await _refuse(write_fault(call, fault_of(call, fault)), request, client)
            return
        if (call.service, call.operation) == ("iam", "SimulatePrincipalPolicy"):
            await client.write(write_xml(simulate(form, self._faults.denies)))
            return
        service = self.services.get(call.service)
        if service is None:
            await self._passage.relay(request, client, lose=fault is Fault.LOST)
            return
        answer = await self._ask(service, call, request, client)
        if fault is Fault.LOST:
            raise Dropped
        await client.write(answer)

    async def _ask(
        self, service: Service, call: Call, request: Request, client: Connection
    ) -> bytes:
        """Have one of our services answer."""
        REGION.set(call.region)
        ENDPOINT.set(f"http://{request.headers.get(b'host', b'').decode()}")
        client.waiting = call.operation == "ReceiveMessage"
        try:
            wish = _read_wish(call, request.body.whole())
            result = await service.answer(call.operation, wish)
        except AwsFault as fault:
            return write_fault(call, fault)
        except Exception as error:  # noqa: BLE001 - a fault of ours; the rig shows it at the end
            traceback.print_exc()
            return write_fault(call, AwsFault("InternalFailure", repr(error), status=500))
        finally:
            client.waiting = False
        if call.protocol == "query":
            return write_xml(write_result(call.operation, result))
        return write_json(result)

    async def _control(self, request: Request) -> bytes:
        """Carry out a wish of the test itself."""
        words = request.url.removeprefix(_OWN).partition("?")[0].split("/")
        try:
            wish = json.loads(request.body.whole() or b"{}")
            return write_json(await self._obey(words, wish))
        except AwsFault as fault:
            return write_json({"code": fault.code, "message": fault.message}, status=400)
        except ValueError as error:
            return write_json({"code": "BadRequest", "message": str(error)}, status=400)

    async def _obey(self, words: list[str], wish: Json) -> Json:
        match words:
            case ["counts"]:
                return self._counts.told()
            case ["counts", "reset"]:
                self._counts.reset()
                return {}
            case ["faults"]:
                self._faults.set(wish)
                return {}
            case [name, verb] if name in self.services:
                return await self.services[name].control(verb, wish)
        raise AwsFault("UnknownPath", f"the cloud knows no /_cloud/{'/'.join(words)}")


async def _refuse(answer: bytes, request: Request, client: Connection) -> None:
    """Answer before the body has come, of which the client then sends no more."""
    if request.body.streamed:
        answer = answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    await client.write(answer)
    if request.body.streamed:
        client.transport.close()


def _read_wish(call: Call, body: bytes) -> Json:
    if call.protocol == "query":
        return read_form(body)
    try:
        return dict(json.loads(body or b"{}"))
    except (TypeError, ValueError):
        raise AwsFault("SerializationException", "The body is not a JSON object.") from None


def _is_form(request: Request) -> bool:
    return request.headers.get(b"content-type", b"").startswith(_FORM)


def _is_streamed(request: Request) -> bool:
    """Tell whether the body goes through to moto as it comes: objects of S3, mostly."""
    return not (
        request.url.startswith(_OWN) or b"x-amz-target" in request.headers or _is_form(request)
    )
