"""The processes of a job that train a run together, on one node or several: which one this is, and who leads."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass

from bench.errors import BenchError
from bench.nn.devices import QUIET, visible_gpus
from bench.slurm.queue import SchedulerError, command


def is_one_of_several() -> bool:
    """Whether this process is one of several of its job."""
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1


@dataclass(frozen=True)
class Member:
    """This process among the `size` of its job, of which 0 leads. address, port: of the leader."""

    rank: int
    size: int
    address: str
    port: int


def member_of_job() -> Member:
    """This process, which from now on sees the GPU that is its own. Call it before torch is loaded.

    Raises BenchError where the node of the leader has no address.
    """
    from submitit.helpers import TorchDistributedEnvironment

    place = TorchDistributedEnvironment()
    # Of those that SLURM gave the job on this node: they need not be the node's first.
    visible = visible_gpus(place.local_world_size)
    if len(visible) >= place.local_world_size:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[place.local_rank]
    os.environ |= QUIET
    # One node's name need not resolve to anything.
    address = "127.0.0.1" if place.local_world_size == place.world_size else address_of(place.master_addr)
    return Member(place.rank, place.world_size, address, place.master_port)


def address_of(node: str) -> str:
    """The address of a node of this cluster, as SLURM has it, or else by its name. Raises BenchError."""
    names = [node]
    with suppress(SchedulerError):  # in a container there may be no scontrol
        said = command(["scontrol", "--oneliner", "show", "node", node])
        if found := re.search(r"\bNodeAddr=(\S+)", said):
            names.insert(0, found[1])
    for name in names:
        with suppress(OSError):
            return str(socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    raise BenchError(
        f"the first node of this job, {node}, has no address that is known here (tried: {', '.join(names)}); several "
        "nodes that train a run together have to find it: ask the cluster's administrators, or use nodes = 1"
    )
