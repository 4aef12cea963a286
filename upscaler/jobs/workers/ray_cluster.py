"""Workers on a Ray cluster: an actor for each GPU, or, where there are none, for a share of the processors.

The package must be installed on every node. Sources and results are on storage that all of them share, or at URLs;
networks are sent along.
"""

from __future__ import annotations

import logging
import math
import os
import platform
import queue
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ... import catalog
from ...catalog import Model
from ...errors import EngineError, PlanError, first_line
from ...inputs.storage import Remote
from ..stages import Stages
from ..task import Task
from .messages import Died, Event, Failed, Message
from .worker import serve

CPUS = 4
"""Processors for each actor where there are no GPUs; a node that has fewer gives all. An actor with a GPU gets its part
of all of its node's, because decoding and encoding are work for processors."""

WORKER_TIMEOUT = 600.0
"""Seconds that may pass until a worker is ready: a cluster that grows on demand takes minutes to do so."""

ANSWER_TIMEOUT = 10.0
"""Seconds in which the address of a cluster must answer."""

SHUTDOWN_TIMEOUT = 10.0
"""Seconds in which killed actors must be gone."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SentNetwork:
    """A network on its way to the nodes."""

    model: Model
    content: bytes
    name: str
    """The name of its file."""
    sha256: str


class Cluster:
    """A `WorkerPool`. Starts Ray, or joins the cluster, unless the program has done so, and leaves it only if it did.

    All calls of Ray happen in a thread of their own: it does not survive exceptions that handlers of signals raise in
    the main one.
    """

    def __init__(self, address: str, stages: Stages) -> None:
        """Joins the cluster. Raises PlanError when Ray is not installed, does not answer, or has no processors."""
        if stages.parts is None:
            raise PlanError("it needs a folder for the results. Name one with `output`.", argument="cluster")
        try:
            import ray
        except ImportError as error:
            raise PlanError("Ray is not installed. pip install 'upscaler[cluster]'.", argument="cluster") from error
        self._ray: Any = ray
        self._thread = ThreadPoolExecutor(1)
        self._is_ours = not ray.is_initialized()
        self._level = logging.getLogger("upscaler").getEffectiveLevel()
        self._actors: dict[int, Any] = {}
        self._answers: dict[int, Future[list[Message]]] = {}
        """The next messages of each actor, which are awaited."""
        self._answered: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._events: deque[Event] = deque()
        self._ready: set[int] = set()
        self._last_sign = time.monotonic()
        try:
            self._shares, self._job = self._call(lambda: self._join(address, stages))
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        return len(self._shares)

    def start(self, worker: int) -> None:
        self._call(lambda: self._start(worker))

    def put(self, worker: int, task: Task) -> None:
        self._call(lambda: self._actors[worker].put.remote(task))

    def wait(self, timeout: float | None) -> Event | None:
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._events:
            try:
                self._receive(self._answered.get(timeout=min(max(end - time.monotonic(), 0), 1.0)))
                self._last_sign = time.monotonic()
            except queue.Empty:
                if time.monotonic() >= end:
                    return None
                if not self._ready and time.monotonic() - self._last_sign > WORKER_TIMEOUT:
                    raise EngineError(
                        f"the cluster had no room for a worker for {WORKER_TIMEOUT:.0f} s. "
                        "Add nodes, or end other jobs."
                    ) from None
        return self._events.popleft()

    def close(self) -> None:
        self._call(self._end)
        self._thread.shutdown()

    def _call(self, what: Callable[[], Result]) -> Result:
        return self._thread.submit(what).result()

    def _join(self, address: str, stages: Stages) -> tuple[list[dict[str, float]], Any]:
        """Returns the resources of each actor, and a reference to the stages and networks that all of them need."""
        if self._is_ours:
            _connect(self._ray, address)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        shares: list[dict[str, float]] = []
        if with_gpu := [node for node in nodes if node.get("GPU", 0) >= 1]:
            processors = min(int(node.get("CPU", 0)) // int(node["GPU"]) for node in with_gpu)
            shares = [{"num_gpus": 1, "num_cpus": processors}] * sum(int(node["GPU"]) for node in with_gpu)
        for node in [] if shares else nodes:
            processors = int(node.get("CPU", 0))
            shares += [{"num_cpus": min(CPUS, processors)}] * max(processors // CPUS, processors > 0)
        if not shares:
            raise _address_error(address, "it has neither GPUs nor processors to give. Add a node that has.")
        networks = []
        if stages.pipeline is not None:
            for model in stages.pipeline.models:  # nodes have the embedded ones, and fetch diffusion models themselves
                is_own = model == stages.pipeline.model
                if model.facts.loader in ("spandrel", "opencv") and (is_own or model.download is not None):
                    file = catalog.fetch_model(model)
                    networks.append(SentNetwork(model, file.read_bytes(), file.name, catalog.weights_sha256(file)))
        return shares, self._ray.put((replace(stages.on(None), progress=None), networks))

    def _start(self, worker: int) -> None:
        share = self._shares[worker]
        device = None if "num_gpus" in share else "cpu"
        kind = self._ray.remote(_Worker).options(max_concurrency=3, **share)
        self._actors[worker] = kind.remote(self._job, device, os.getcwd(), self._level)
        self._listen(worker)

    def _listen(self, worker: int) -> None:
        answer = self._actors[worker].messages.remote().future()
        self._answers[worker] = answer
        answer.add_done_callback(lambda _: self._answered.put(worker))

    def _receive(self, worker: int) -> None:
        try:
            self._events += [(worker, message) for message in self._answers.pop(worker).result()]
            self._ready.add(worker)
            self._call(lambda: self._listen(worker))
        except self._ray.exceptions.RayError as error:
            actor = self._actors.pop(worker)
            self._call(lambda: self._ray.kill(actor))  # it may only be out of reach, and still at work
            self._ready.discard(worker)
            self._events.append((worker, Died(first_line(error))))

    def _end(self) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        wait(self._answers.values(), SHUTDOWN_TIMEOUT)
        if self._is_ours:
            self._ray.shutdown()


class _Worker:
    """The actor. Its methods are called from several threads."""

    def __init__(self, job: tuple[Stages, list[SentNetwork]], device: str | None, folder: str, level: int) -> None:
        stages, networks = job
        with suppress(OSError):
            os.chdir(folder)  # names may be relative; if the folder is not here, neither are the pictures
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        if stages.parts is not None and not isinstance(stages.parts, Remote) and not stages.parts.is_dir():
            sentence = f"{platform.node()} does not see it. Use storage that all nodes share, or URLs."
            self._messages.put(Failed(PlanError(f"{stages.parts}: {sentence}")))
            return
        if threads := os.environ.get("OMP_NUM_THREADS"):  # Ray sets it
            os.environ.setdefault("OPENCV_FOR_THREADS_NUM", threads)
        if device is None and stages.needs_device and not _has_gpu():
            sentence = "Ray gives it a GPU, but torch sees none. Look with upscaler doctor on that machine."
            self._messages.put(Failed(PlanError(f"{platform.node()}: {sentence}")))
            return
        model = None if stages.pipeline is None else stages.pipeline.model
        for sent in networks:
            if sent.model == model:
                model = _unpack(sent)
            else:
                _adopt(sent)
        arguments = (stages.on(device, model), self._take_tasks(), level, self._messages.put)
        threading.Thread(target=serve, args=arguments, daemon=True).start()

    def put(self, task: Task) -> None:
        self._tasks.put(task)

    def messages(self) -> list[Message]:
        """Waits for a message, and returns all that there are."""
        found = [self._messages.get()]
        with suppress(queue.Empty):
            while True:
                found.append(self._messages.get_nowait())
        return found

    def _take_tasks(self) -> Iterator[Task | None]:
        while True:
            if self._tasks.empty():
                yield None
            yield self._tasks.get()


def _has_gpu() -> bool:
    from ...device import pick_device

    return pick_device().type != "cpu"


def _connect(ray: Any, address: str) -> None:
    """Joins the cluster at an address, or starts one for "local". Raises PlanError when that fails."""
    from ray._private import worker

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    alone: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    if address not in ("local", "auto"):
        host, _, port = address.removeprefix("ray://").rpartition(":")
        try:  # Ray itself would take minutes to say that nothing answers
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_TIMEOUT).close()
        except ValueError as error:
            raise _address_error(address, "it is not an address. Write HOST:PORT, or local.") from error
        except OSError as error:
            answer = f"nothing answers there ({error.strerror or error}). Start Ray there, or write local."
            raise _address_error(address, answer) from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    if hasattr(worker, "print_to_stdstream"):  # Ray 2.60 prints there what happens to nodes, in spite of log_to_driver
        worker.print_to_stdstream = lambda *_, **__: None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **alone)
    except Exception as error:
        raise _address_error(address, f"no cluster can be joined there ({first_line(error)}). Try local.") from error


def _address_error(address: str, message: str) -> PlanError:
    return PlanError(message, argument="cluster", value=address)


def _unpack(sent: SentNetwork) -> Model:
    """Returns the model of a job, with a file of its own."""
    path = catalog.models_dir() / "sent" / sent.sha256[:16] / sent.name
    if not path.is_file():
        catalog.write_weights(path, lambda temporary: temporary.write_bytes(sent.content))
    return replace(sent.model, file=path)


def _adopt(sent: SentNetwork) -> None:
    """Stores a network that is mixed into the main one as if it had been fetched."""
    with tempfile.TemporaryDirectory(prefix="upscaler-") as folder:
        file = Path(folder, sent.name)
        file.write_bytes(sent.content)
        catalog.keep_download(sent.model, file)
