"""Workers on a Ray cluster of several nodes, all on this machine: nodes die, and every picture is made once."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from tests.diffusion import tiny
from tests.jobs.work import UPSCALER, alone, customized, parts, pictures, tree
from tests.networks import tiny_compact
from upscaler import GenerationParameters, PlanError, Size, Target, TextToImage, Upscaler, codecs
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import Job, find_jobs
from upscaler.jobs import generate
from upscaler.jobs.batch import run
from upscaler.jobs.generate import GenerateJob
from upscaler.jobs.outcome import Outcome, SelectionRules
from upscaler.jobs.stages import FileStages
from upscaler.jobs.workers.messages import Failed, WorkerOptions
from upscaler.pipeline import Pipeline, PipelineOptions

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


@dataclass(frozen=True)
class Nodes:
    """A cluster, and the folders of its nodes: what they keep, and what is at dir:// for them."""

    cluster: Any
    home: Path
    store: Path


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes with a processor each, and environments of their own."""
    folder = tmp_path_factory.mktemp("nodes")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("UPSCALER_HOME", str(folder / "home"))
        patch.setenv("FSSPEC_DIR_PATH", str(folder / "store"))
        patch.setenv("FSSPEC_DIR_TARGET_PROTOCOL", "file")
        warnings.simplefilter("ignore")  # Ray's own
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield Nodes(cluster, folder / "home", folder / "store")
        cluster.shutdown()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As many as an actor has: sums of other orders may be rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The actors that have been given pictures, by their ids."""
    from upscaler.jobs.workers.ray_cluster import Cluster

    found: set[str] = set()
    put = Cluster.put

    def noted(self: Any, worker: int, task: Any) -> None:
        found.add(self._actors[worker]._actor_id.hex())
        put(self, worker, task)

    monkeypatch.setattr(Cluster, "put", noted)
    return found


def busy_node(cluster: Any, busy: set[str]) -> Any:
    """One, not the head, that works on pictures; None if there is none yet."""
    from ray._private.state import actors

    nodes = {actors(actor)["Address"]["NodeID"] for actor in busy}
    return next((node for node in cluster.worker_nodes if node.node_id in nodes), None)


def test_a_node_dies_and_every_picture_is_made_once(
    here: Path, nodes: Nodes, busy: set[str], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    pictures(here / "in", 90, side=150)
    outcomes: list[Outcome] = []
    for outcome in Upscaler("lanczos").batch("in", "out", scale=2, cluster=nodes.cluster.address):
        outcomes.append(outcome)
        if len(nodes.cluster.worker_nodes) == 2 and (node := busy_node(nodes.cluster, busy)):
            nodes.cluster.remove_node(node, allow_graceful=False)
    assert len(nodes.cluster.worker_nodes) == 1
    assert len(outcomes) == len({outcome.source for outcome in outcomes}) == 91
    assert [outcome.source.name for outcome in outcomes if outcome.error] == ["bad.png"]
    assert tree(here / "out") == alone(here / "in", here / "right")
    assert "a worker was lost (" in caplog.text
    assert parts(here) == []
    assert capfd.readouterr() == ("", "")


def test_an_actor_is_killed_and_folders_at_urls_are_made_all_the_same(
    here: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setitem(fsspec.config.conf, "dir", {"path": str(nodes.store), "target_protocol": "file"})
    pictures(nodes.store / "b/in", 40, side=100)
    outcomes: list[Outcome] = []
    for outcome in Upscaler("lanczos").batch("dir://b/in", "dir://b/out", scale=2, cluster=nodes.cluster.address):
        outcomes.append(outcome)
        if len(outcomes) == 5:
            actors = [each for each in psutil.process_iter() if "ray::_Worker" in each.name()]
            actors[0].kill()
    assert len(outcomes) == len({outcome.source for outcome in outcomes}) == 41
    assert tree(nodes.store / "b/out") == alone(nodes.store / "b/in", here / "right")
    assert parts(nodes.store) == []


def test_networks_are_sent_to_the_nodes(here: Path, nodes: Nodes) -> None:
    network = tiny_compact(here)
    pictures(here / "in", 2)
    outcomes = list(Upscaler(str(network)).batch("in", "out", scale=4, cluster=nodes.cluster.address))
    assert sum(outcome.error is None for outcome in outcomes) == 2
    (sent,) = (nodes.home / "models/sent").rglob(network.name)
    assert sent.read_bytes() == network.read_bytes()
    assert tree(here / "out") == alone(here / "in", here / "right", str(network), 4)


@pytest.mark.usefixtures("_one_thread")
def test_prompts_are_generated_and_enlarged_on_the_nodes(here: Path, nodes: Nodes) -> None:
    """With an enlarging network that is sent along."""
    tiny.build_sd().save_pretrained(here / "tiny-sd")
    options = PipelineOptions(device="cpu", precision="fp32")
    models = GenerateJob(
        TextToImage(str(here / "tiny-sd"), device="cpu"), Pipeline(str(tiny_compact(here)), options), Target(scale=2)
    )
    wishes = [GenerationParameters("a // b", size=Size(72, 64), steps=1, seed=seed) for seed in range(2)]
    made = {}
    for folder, workers in (("out", WorkerOptions(cluster=nodes.cluster.address)), ("right", None)):
        jobs = [Job(each, here / folder / f"{each.seed}.png") for each in wishes]
        outcomes = list(generate.run(models, jobs, folder=here / folder, workers=workers))
        assert [outcome.error for outcome in outcomes] == [None, None]
        made[folder] = [codecs.decode(job.output).pixels for job in jobs]
    assert np.array_equal(made["out"], made["right"])
    assert parts(here) == []


def test_what_is_mixed_into_a_network_lies_there_as_if_it_was_fetched(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from upscaler import catalog
    from upscaler.jobs.workers.ray_cluster import SentNetwork, _adopt

    file = tiny_compact(here)
    download = catalog.Download(("https://example.org/other.pth",), None, catalog.weights_sha256(file))
    other = catalog.Model("other", download=download)
    _adopt(SentNetwork(other, file.read_bytes(), file.name, catalog.weights_sha256(file)))
    assert catalog.fetch_model(other, offline=True).read_bytes() == file.read_bytes()


def test_node_that_does_not_see_the_folder_refuses_the_job(here: Path) -> None:
    from upscaler.jobs.workers.ray_cluster import _Worker

    stages = FileStages(
        pipeline=Pipeline("lanczos"),
        target=Target(),
        parts=here / "elsewhere/parts",
        reading={},
        rules=SelectionRules(),
    )
    (message,) = _Worker((stages, []), "cpu", str(here), 30).messages()
    assert isinstance(message, Failed)
    assert str(message.error).endswith("does not see it. Use storage that all nodes share, or URLs.")


def test_node_whose_gpu_torch_does_not_see_refuses_instead_of_computing_on_its_processor(here: Path) -> None:
    from upscaler.jobs.workers.ray_cluster import _Worker

    network = Pipeline(str(tiny_compact(here)))
    stages = FileStages(pipeline=network, target=Target(), parts=here, reading={}, rules=SelectionRules())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("upscaler.device._has", lambda kind: False)
        (message,) = _Worker((stages, []), None, str(here), 30).messages()
    assert isinstance(message, Failed)
    assert str(message.error).endswith(
        ": Ray gives it a GPU, but torch sees none. Look with upscaler doctor on that machine."
    )


@dataclass
class Resources:
    """What Ray says of the nodes of a cluster, each with processors and GPUs."""

    each: list[tuple[int, int]]

    def nodes(self) -> list[dict[str, Any]]:
        dead = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
        found = [{"Alive": True, "Resources": {"CPU": float(cpu), "GPU": float(gpu)}} for cpu, gpu in self.each]
        return [dead, *found]

    def put(self, value: object) -> object:
        return value


@pytest.mark.parametrize(
    ("each", "share", "count"),
    [
        ([(32, 2), (8, 1), (64, 0)], {"num_gpus": 1, "num_cpus": 8}, 3),
        ([(2, 4)], {"num_gpus": 1, "num_cpus": 0}, 4),
        ([(16, 0)], {"num_cpus": 4}, 4),
    ],
)
def test_actors_ask_for_processors_beside_their_gpu(
    here: Path, each: list[tuple[int, int]], share: dict[str, int], count: int
) -> None:
    """As many as are there for each on every node, or some would never be started."""
    from upscaler.jobs.workers.ray_cluster import Cluster

    stages = FileStages(pipeline=Pipeline("lanczos"), target=Target(), parts=here, reading={}, rules=SelectionRules())
    cluster = Cluster.__new__(Cluster)
    cluster._ray, cluster._is_ours = Resources(each), False
    shares, _ = cluster._join("local", stages)
    assert shares == [share] * count


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("nonsense", "cluster=nonsense: it is not an address. Write HOST:PORT, or local."),
        ("127.0.0.1:1", "cluster=127.0.0.1:1: nothing answers there (Connection refused). Start Ray there, or"),
    ],
)
def test_cluster_that_is_not_there_is_a_sentence(here: Path, address: str, sentence: str) -> None:
    pictures(here / "in", 1)
    with pytest.raises(PlanError) as raised:
        list(Upscaler("lanczos").batch("in", "out", cluster=address))
    assert str(raised.value).startswith(sentence)
    assert parts(here) == []


def test_cluster_needs_a_folder_for_the_results(here: Path) -> None:
    pictures(here / "in", 1)
    found = find_jobs(["in"], None, EncodeOptions(), "_2x")
    with pytest.raises(PlanError, match="cluster: it needs a folder for the results"):
        list(run(Pipeline("lanczos"), found.jobs, Target(scale=2), workers=WorkerOptions(cluster="local")))


def command(*options: str) -> list[str]:
    return [*UPSCALER, "in", "-o", "out", "-m", "lanczos", "-s", "2", *options]


def test_missing_ray_is_a_sentence(here: Path) -> None:
    pictures(here / "in", 1)
    environment = customized(here / "site", "import sys; sys.modules['ray'] = None")
    done = subprocess.run(command("--cluster", "local"), env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: --cluster: Ray is not installed. pip install 'upscaler[cluster]'.\n",
    )


@pytest.mark.skipif(os.name == "nt", reason="signals are others there")
def test_local_cluster_says_nothing_of_itself_and_is_gone_after_an_interruption(here: Path) -> None:
    pictures(here / "in", 600)
    process = subprocess.Popen(
        command("--cluster", "local"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=customized(here / "site", ""),
    )
    assert process.stderr is not None
    for _ in range(5):
        assert process.stderr.readline().startswith("out")
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate()
    assert (process.returncode, output) == (130, "")
    said = [line for line in errors.splitlines() if not line.startswith("out")]
    assert said[-1] == "interrupted."
    assert len(said) == 2, "and how many were made"
    psutil.wait_procs(children, 10)
    assert [child for child in children if child.is_running()] == []
    assert parts(here) == []
