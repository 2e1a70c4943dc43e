from __future__ import annotations

import os
import socket

import pytest

from bench.errors import BenchError
from bench.slurm import together
from bench.slurm.together import address_of, member_of_job
from bench.training.network import interface_towards


@pytest.fixture
def process(monkeypatch):
    """process(nodes, per node, rank): this is that process of a job on so many nodes."""

    def make(nodes: int, per_node: int, rank: int) -> None:
        variables = {
            "SUBMITIT_EXECUTOR": "slurm",
            "SLURM_JOB_ID": "7",
            "SLURM_NTASKS": nodes * per_node,
            "SLURM_JOB_NUM_NODES": nodes,
            "SLURM_JOB_NODELIST": f"n[1-{nodes}]" if nodes > 1 else "n1",
            "SLURM_NODEID": rank // per_node,
            "SLURM_PROCID": rank,
            "SLURM_LOCALID": rank % per_node,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(4, 4 + per_node))))
        monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "")

    return make


@pytest.mark.parametrize(
    ("nodes", "per_node", "rank", "gpu", "address"),
    [(1, 2, 1, "5", "127.0.0.1"), (2, 2, 3, "5", "10.1.2.3"), (2, 2, 2, "4", "10.1.2.3"), (3, 1, 2, "4", "10.1.2.3")],
)
def test_a_process_takes_a_gpu_of_its_node_and_finds_the_first_node(
    nodes, per_node, rank, gpu, address, process, slurm
):
    slurm.says_of_nodes("NodeName=n1 Arch=x86_64 NodeAddr=10.1.2.3 NodeHostName=n1 Version=24")
    process(nodes, per_node, rank)
    member = member_of_job()
    assert (member.rank, member.size, member.address) == (rank, nodes * per_node, address)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu
    assert slurm.commands("scontrol") == (["--oneliner show node n1"] if nodes > 1 else [])


def test_all_processes_of_a_job_take_the_same_port(process, slurm):
    slurm.says_of_nodes("NodeName=n1 NodeAddr=10.1.2.3")
    ports = set()
    for rank in range(4):
        process(2, 2, rank)
        ports.add(member_of_job().port)
    assert len(ports) == 1


def test_without_scontrol_a_node_is_found_by_its_name(slurm):
    slurm.scontrol_fails("scontrol: error")
    assert address_of("localhost") == "127.0.0.1"


def test_a_node_without_an_address_is_told_with_what_was_tried(slurm, monkeypatch):
    def unknown(*arguments: object) -> None:
        raise socket.gaierror

    slurm.says_of_nodes("NodeName=n1 NodeAddr=n1-ib")
    monkeypatch.setattr(together.socket, "getaddrinfo", unknown)
    with pytest.raises(BenchError, match=r"n1, has no address that is known here \(tried: n1-ib, n1\)"):
        address_of("n1")


@pytest.mark.skipif(not os.path.exists("/sys/class/net/lo"), reason="not Linux")
def test_a_machine_reaches_itself_through_its_loopback():
    assert interface_towards("127.0.0.1") == "lo"


def test_what_is_no_address_is_reached_through_none():
    assert interface_towards("no address") is None
