"""Functions as jobs: a web app enqueues what the same image runs as a job.

    # shop/jobs.py
    jobs = Jobs("shop")

    @jobs.job
    def invoice(order: int, *, copies: int = 1) -> dict: ...

    invoice.delay(7, copies=2)      # anywhere in the app
    invoice(7)                      # here and now

The job's definition names the function, and its command is `python -m barbeque_py.run
shop.jobs:jobs`. What the function returns, where it is not None, is the job's result; what it
raises fails the attempt.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from barbeque_py.answers import Enqueued
from barbeque_py.asking import Asking
from barbeque_py.calls import Job, JobOptions

P = ParamSpec("P")
T = TypeVar("T")


class UnknownFunction(LookupError):
    """No function of these jobs has that name."""


class Function(Generic[P, T]):
    """A function that can be enqueued; called, it runs here and now."""

    def __init__(
        self, jobs: "Jobs", function: Callable[P, T], name: str, options: JobOptions
    ) -> None:
        self.name = name
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._jobs = jobs
        self._options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it here and now."""
        return self.__wrapped__(*args, **kwargs)

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Enqueued:
        """Enqueue a run with these arguments, which must be what JSON has.

        Raises `TypeError` for others, and for those that the function does not take.
        """
        return self.enqueue(args, kwargs)

    def enqueue(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[JobOptions],
    ) -> Enqueued:
        """Enqueue a run as `delay`, with options of this run over those of the function."""
        asked = cast("JobOptions", {**self._options, **options})
        return self._jobs.client.enqueue(
            self._jobs.app, self.name, self.message(args, kwargs), **asked
        )

    def message(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the message of a run with these arguments; raises as `delay`."""
        inspect.signature(self.__wrapped__).bind(*args, **(kwargs or {}))
        return {"args": plain(list(args)), "kwargs": plain(dict(kwargs or {}))}


class Jobs:
    """The functions of one app that can be enqueued.

    `client` is asked to enqueue them; without one a `Client` of BARBEQUE_URL.
    """

    def __init__(self, app: str, client: Asking | None = None) -> None:
        self.app = app
        self.functions: dict[str, Function[Any, Any]] = {}
        self._client = client

    @property
    def client(self) -> Asking:
        """What enqueues; may be set, as tests do."""
        if self._client is None:
            from barbeque_py.client import Client  # noqa: PLC0415 - a job that runs needs no httpx

            self._client = Client()
        return self._client

    @client.setter
    def client(self, client: Asking) -> None:
        self._client = client

    @overload
    def job(self, function: Callable[P, T], /) -> Function[P, T]: ...

    @overload
    def job(
        self, *, name: str | None = None, **options: Unpack[JobOptions]
    ) -> Callable[[Callable[P, T]], Function[P, T]]: ...

    def job(  # type: ignore[misc]  # mypy takes the options of the second for others than these
        self,
        function: Callable[P, T] | None = None,
        /,
        *,
        name: str | None = None,
        **options: Any,
    ) -> Function[P, T] | Callable[[Callable[P, T]], Function[P, T]]:
        """Make a function a job, `@jobs.job` or `@jobs.job(queue="slow")`.

        `name` is the job's, the function's own unless given; options are those of every run.
        Raises `TypeError` for options that an enqueue does not have: retries, time limits and
        sizes stand in the definition.
        """
        Job(self.app, "", None, **options)  # knows which options there are

        def make(function: Callable[P, T]) -> Function[P, T]:
            called = name or function.__name__
            if called in self.functions:
                raise ValueError(f"two functions of {self.app} are called {called}")
            made = Function(self, function, called, cast("JobOptions", options))
            self.functions[called] = made
            return made

        return make if function is None else make(function)

    def run(self, name: str, message: Any) -> Any:
        """Run the function with a message's arguments and return what it returns."""
        if name not in self.functions:
            known = ", ".join(sorted(self.functions))
            raise UnknownFunction(f"no function of {self.app} is called {name}; known: {known}")
        found = self.functions[name](*message["args"], **message["kwargs"])
        return asyncio.run(found) if inspect.iscoroutine(found) else found

    def definitions(self, image: str, command: Sequence[str]) -> dict[str, Any]:
        """Return an apply file's content that defines every function as a job of this command."""
        jobs = [
            {"name": name, "command": list(command), "report_files": True}
            for name in sorted(self.functions)
        ]
        return {"apps": [{"name": self.app, "image": image, "jobs": jobs}]}


def plain(value: Any) -> Any:
    """Return the value as JSON reads it back: tuples are lists. Raises `TypeError` for others."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [plain(each) for each in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: plain(each) for key, each in value.items()}
    raise TypeError(f"{value!r:.80} is nothing that JSON has")
