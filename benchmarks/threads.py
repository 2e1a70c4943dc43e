"""What threads cost beside other work: steps with one thread and with two, alone and beside busy processes.

    python benchmarks/threads.py --documents test.json --models atlop,ttmre --busy 0,1,2

Each figure is of a process of its own, since how threads wait is decided before torch is loaded: a step to warm up,
then one that is timed. The ways take turns. `spinning` is how OpenMP has its threads wait by itself, `sleeping` how
`bench` has them (`bench.cores`); `chosen` is the number of threads that `bench` would take, in the middle of that load.
What other programs did meanwhile is printed beside it; --quiet waits for minutes in which they do nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from pathlib import Path

WAYS = {
    "1 thread": ("1", "sleeping"),
    "2, spinning": ("2", "spinning"),
    "2, sleeping": ("2", "sleeping"),
    "chosen": ("", "sleeping"),
}
"""Per column the threads ("" is what `bench` chooses) and how they wait."""
QUIET = 0.15
"""Cores that others may keep busy in a quiet minute."""


def step(options: argparse.Namespace) -> None:
    """In a process of its own: a timed step, as JSON."""
    import torch
    from documents import document_batch, system_of
    from steps import formulation, timed_step

    from bench.cores import find_cores
    from bench.nn.encoder_source import find_encoder

    threads = options.threads or find_cores().threads()
    torch.set_num_threads(threads)
    source = find_encoder(options.encoder, ())
    batch = document_batch(options.documents, source)
    system = system_of(options.models, source, batch)
    times = []
    for _ in range(2):
        began = time.perf_counter(), time.process_time()
        timed_step(system, formulation(system, "ours"), batch)
        times.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    print(json.dumps({"clock": times[-1][0], "cpu": times[-1][1], "threads": threads}))


@contextmanager
def busy_process():
    """A process that keeps a core busy."""
    # Until this one ends, even if it is killed.
    process = subprocess.Popen([sys.executable, "-S", "-c", f"import os\nwhile os.getppid() == {os.getpid()}: pass"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measured(options: argparse.Namespace, model: str, threads: str, waiting: str) -> dict[str, float]:
    """A step in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if waiting == "sleeping":
        from bench.cores import SPINS

        environment["GOMP_SPINCOUNT"] = str(SPINS)
    command = [sys.executable, __file__, "--step", "--models", model, "--encoder", options.encoder]
    command += ["--documents", str(options.documents), "--threads", threads or "0"]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def seconds_used() -> float:
    """Seconds of all cores that something has used since the machine was started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def of_processes() -> float:
    """Of these, those of the processes that this one has waited for."""
    return os.times().children_user + os.times().children_system


def wait_for_quiet() -> None:
    """Until others have done next to nothing for three seconds."""
    while True:
        before = seconds_used()
        time.sleep(3)
        if seconds_used() - before < 3 * QUIET:
            return


def measure(options: argparse.Namespace, model: str, busy: int) -> None:
    """One row of the table: medians over the rounds."""
    rows = defaultdict(list)
    others = []
    for _ in range(options.repeats):
        for way, (threads, waiting) in WAYS.items():
            if options.quiet:
                wait_for_quiet()
            before, own, began = seconds_used(), of_processes(), time.perf_counter()
            with ExitStack() as load:
                for _ in range(busy):
                    load.enter_context(busy_process())
                rows[way].append(measured(options, model, threads, waiting))
            took = time.perf_counter() - began
            others.append(max(0.0, seconds_used() - before - (of_processes() - own)) / took)
    cells = []
    for way in WAYS:
        clock, cpu = (statistics.median(row[name] for row in rows[way]) for name in ("clock", "cpu"))
        chosen = "/".join(sorted({str(row["threads"]) for row in rows[way]})) + ": " if way == "chosen" else ""
        cells.append(f"{chosen}{clock:.2f} ({cpu:.2f})")
    print(f"| {model} | {busy} | {' | '.join(cells)} | {statistics.median(others):.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True, help="a DocRED-form file")
    parser.add_argument("--models", default="atlop,ttmre")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--busy", default="0,1,2", help="so many busy processes beside it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quiet", action="store_true", help="wait for others to do nothing")
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(options)
        return
    print("Seconds of a step by the clock (of a processor).\n")
    print(f"| model | busy beside it | {' | '.join(WAYS)} | cores that others used |")
    print("|---" * (len(WAYS) + 3) + "|")
    for busy in map(int, options.busy.split(",")):
        for model in options.models.split(","):
            measure(options, model, busy)


if __name__ == "__main__":
    main()
