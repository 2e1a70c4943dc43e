"""A real SLURM cluster on this machine, for as long as a command takes: `python slurm/cluster.py run COMMAND...`.

Four nodes that share the machine (with two pretended GPUs each), two partitions of which `high` preempts `low`,
accounting, time limits. Everything it needs is in a folder of its own under the temporary folder, and goes with it.
Needs Debian's packages, which it installs if they are missing; only that needs root. Without them the command runs
without a cluster, and the tests that ask for one skip: `python slurm/cluster.py available` says why.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client", "slurmdbd", "mariadb-server-core")
PROGRAMS = ("munged", "mungekey", "mariadbd", "slurmdbd", "slurmctld", "slurmd", "sbatch", "srun", "sacct", "scontrol")
NODES, CPUS, GPUS, MEMORY_MB = 4, 6, 2, 4000
GRACE_SECONDS = 25

SLURM_CONF = """\
ClusterName=bench
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A requeued job may not start before its old credential has expired: two minutes unless told otherwise.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
# Job ids of an earlier cluster must not come again: an output folder may remember them.
FirstJobId={first_job}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# Looks at each job's memory every second, and ends those over what they asked for.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Preemption sends a job the signal it asked for, and not only SIGTERM.
SlurmctldParameters=preempt_send_user_signal
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,bf_resolution=60,sched_interval=2,batch_sched_delay=0,default_queue_depth=2000
MaxArraySize=2001
KillWait=5
MinJobAge=3600
SlurmdTimeout=20
SlurmctldTimeout=20
CompleteWait=0
UnkillableStepTimeout=60
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu
NodeName=n[1-{nodes}] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{slurmd}] CPUs={cpus} Sockets=1 \
CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
PartitionName=high Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={db}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""

DATABASE = """\
CREATE DATABASE IF NOT EXISTS slurm_acct_db;
CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';
"""


def search_path() -> str:
    """The value of PATH, with the folders that daemons are in."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program, path=search_path()) is None]


def install() -> None:
    """Install the packages, without starting the services that come with them. Raises SystemExit without root."""
    if not missing():
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemExit(f"not installed: {', '.join(missing())}; needs root and apt-get: {' '.join(PACKAGES)}")
    policy = Path("/usr/sbin/policy-rc.d")  # 101: "do not start it"
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
            subprocess.run(["apt-get", "-qq", *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"apt-get could not install SLURM: {error}") from None
    finally:
        if ours:
            policy.unlink()


class Cluster:
    """Use as a context manager; `environment` makes SLURM's commands, and jobs, find it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-slurm-"))
        ours = {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": search_path(), "BENCH_TEST_CLUSTER": "1"}
        self.environment = {**os.environ, **ours}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Cluster:
        # A cluster that is asked to go takes its daemons with it.
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
        try:
            self._configure()
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _configure(self) -> None:
        self.folder.chmod(0o755)
        ports = _free_ports(3 + NODES)
        values = {
            "folder": self.folder,
            "user": getpass.getuser(),
            "ctld": ports[0],
            "dbd": ports[1],
            "db": ports[2],
            "slurmd": ",".join(map(str, ports[3:])),
            "first_job": int(time.time()) % 60_000_000 + 1,
            "nodes": NODES,
            "cpus": CPUS,
            "gpus": GPUS,
            "memory": MEMORY_MB,
            "grace": GRACE_SECONDS,
        }
        self.database_port = ports[2]
        for name in ("state", "database", *(f"spool-n{i + 1}" for i in range(NODES))):
            (self.folder / name).mkdir()
        for gpu in range(GPUS):
            # Only for a character device do jobs get CUDA_VISIBLE_DEVICES.
            (self.folder / f"gpu{gpu}").symlink_to(os.devnull)
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n")
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
        (self.folder / "slurmdbd.conf").write_text(SLURMDBD_CONF.format(**values))
        (self.folder / "slurmdbd.conf").chmod(0o600)
        (self.folder / "database.sql").write_text(DATABASE)
        self.call("mungekey", "-c", "-k", str(self.folder / "munge.key"))

    def _start_all(self) -> None:
        names = ("munge.key", "munge.socket", "munged.pid", "munged.log", "munged.seed")
        key, sock, pid, log, seed = (str(self.folder / name) for name in names)
        self._start("munged", "-F", f"--key-file={key}", f"--socket={sock}", f"--pid-file={pid}", f"--log-file={log}",
                    f"--seed-file={seed}")  # fmt: skip
        self._make_database()
        self._start(
            "mariadbd", "--no-defaults", f"--user={getpass.getuser()}", f"--datadir={self.folder}/database",
            f"--socket={self.folder}/database.socket", f"--pid-file={self.folder}/mariadbd.pid",
            "--bind-address=127.0.0.1", f"--port={self.database_port}", "--skip-name-resolve",
            f"--init-file={self.folder}/database.sql", "--performance-schema=OFF", "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0",
        )  # fmt: skip
        self._until("the database", lambda: _listens(self.database_port))
        self._start("slurmdbd", "-D")
        self._until("slurmdbd", lambda: self.says("sacctmgr", "-nP", "show", "cluster") is not None)
        self.call("sacctmgr", "-iQ", "add", "cluster", "bench")
        self.start_slurmctld()
        for node in range(1, NODES + 1):
            self.start_slurmd(node)
        self._until("the nodes", self._nodes_are_up)

    def _make_database(self) -> None:
        # mysql/mysql_system_tables.sql in Debian 12, mariadb/mariadb_system_tables.sql in Debian 13.
        scripts = [next(Path("/usr/share").glob(f"m*/m*_system_tables{part}.sql")) for part in ("", "_data")]
        statements = "create database if not exists mysql;\nuse mysql;\n" + "".join(s.read_text() for s in scripts)
        arguments = ["--no-defaults", f"--user={getpass.getuser()}", "--bootstrap", f"--datadir={self.folder}/database"]
        with (self.folder / "bootstrap.log").open("wb") as log:
            subprocess.run(
                ["mariadbd", *arguments, "--max_allowed_packet=8M"],
                input=statements.encode(), check=True, env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip

    def start_slurmctld(self) -> None:
        """Start the controller (again), and wait until it answers."""
        self._start("slurmctld", "-D")
        self._until("slurmctld", lambda: self.says("sinfo", "-h") is not None)

    def start_slurmd(self, node: int) -> None:
        """Start the daemon of node n1, n2, ... (again)."""
        self._start(f"slurmd-n{node}", "-D", "-N", f"n{node}", program="slurmd")

    def kill(self, name: str) -> None:
        """`kill -9` for one of the daemons: slurmctld, slurmd-n1, ..."""
        self.processes[name].kill()
        self.processes[name].wait()

    def _start(self, name: str, *arguments: str, program: str | None = None) -> None:
        log = (self.folder / f"{name}.out").open("ab")
        self.processes[name] = subprocess.Popen(
            [program or name, *arguments],
            env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        log.close()

    def call(self, *command: str) -> str:
        """The output of a command that must succeed. Raises CalledProcessError."""
        return subprocess.run(
            command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True, timeout=120
        ).stdout

    def says(self, *command: str) -> str | None:
        """The output of a command, or None if it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        return done.stdout if done.returncode == 0 else None

    def _nodes_are_up(self) -> bool:
        states = set((self.says("sinfo", "-hN", "-o", "%N %t") or "").splitlines())
        return len({state for state in states if state.split()[1] in ("idle", "mix", "alloc")}) >= NODES

    def _until(self, what: str, holds: Callable[[], bool], seconds: float = 120) -> None:
        give_up = time.monotonic() + seconds
        while not holds():
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > give_up:
                logs = "\n".join((self.folder / f"{name}.out").read_text()[-2000:] for name in dead)
                raise RuntimeError(
                    f"the cluster does not start: no {what}; ended: {', '.join(dead) or 'nothing'}\n{logs}"
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """End jobs and daemons, and remove the folder."""
        if "slurmctld" in self.processes and self.processes["slurmctld"].poll() is None:
            self.says("scancel", "--me")
            give_up = time.monotonic() + 20
            while self.says("squeue", "--me", "-h") and time.monotonic() < give_up:
                time.sleep(0.2)
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in reversed(self.processes.values()):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in self._left():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _left(self) -> list[int]:
        """Jobs of this cluster and their keepers that outlived their node's daemon, by what is in their environment."""
        ours = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                environment = (path / "environ").read_bytes().split(b"\0")
                keeper = (path / "comm").read_text().strip() == "slurmstepd"
            except OSError:
                continue  # it ended, or is another user's
            if ours in environment and (keeper or any(name.startswith(b"SLURM_JOB_ID=") for name in environment)):
                pids.append(int(path.name))
        return pids


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(command: Sequence[str]) -> int:
    """Start a cluster, run a command in it, stop it; the command's exit status. Where there can be none, without it."""
    try:
        install()
    except SystemExit as reason:
        print(f"no SLURM cluster: {reason}", flush=True)
        return subprocess.run(command, check=False).returncode
    began = time.monotonic()
    with Cluster() as cluster:
        print(f"SLURM cluster in {cluster.folder}, started in {time.monotonic() - began:.1f} s", flush=True)
        return subprocess.run(command, env=cluster.environment, check=False).returncode


def main(arguments: list[str]) -> int:
    """`install`, `available`, or `run COMMAND...`."""
    os.environ["PATH"] = search_path()
    if arguments[:1] == ["install"]:
        install()
        return 0
    if arguments[:1] == ["available"]:
        print(f"not installed: {', '.join(missing())}" if missing() else "available")
        return int(bool(missing()))
    if arguments[:1] == ["run"] and len(arguments) > 1:
        return run(arguments[1:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
