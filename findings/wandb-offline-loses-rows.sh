#!/usr/bin/env bash
# wandb 0.31.0, offline: of a process that is killed, what it has logged may be gone, be it seconds old and all of it.
#
# Expected, before running: a process of its own (wandb-core) writes what log() is given, so that all of it is in the
# .wandb file when the program is killed, but for the last moment; at most the last second.
# Seen: what is left of 50 rows, logged at once, is none, some or all of them, otherwise from one time to the next, be it
# by SIGKILL or by SIGTERM that nobody handles. Ten seconds of nothing between the last row and SIGTERM do not help: of
# three such files one had 50 rows, and two none and 7 bytes. A program that logged 20 rows a second for 10 seconds left
# 120 of 200, in a file of exactly 32,768 bytes.
#
#   rows left of 50, by run (SIGTERM a second after the last, this script): 0 50 50 0 50 0 0 50
#   the same once more:                                                     0 0 50 50 0 0 0 33
#
# What it means here: a cluster without a network is where W&B is used offline, and where jobs are killed. What its files
# have of a run is read when the run goes on, and the rest is told again (bench/tracking/wandb_files.py). A run that is
# asked to stop finishes W&B first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet wandb==0.31.0
cat > "$folder/program.py" <<'PYTHON'
import os
import signal
import sys
import time

import wandb

run = wandb.init(
    project="p", id="abc", mode="offline", dir=sys.argv[1], settings=wandb.Settings(silent=True, console="off")
)
for step in range(50):
    run.log({"loss": step})
time.sleep(1)
os.kill(os.getpid(), signal.SIGTERM)
PYTHON
for number in 1 2 3 4 5 6 7 8; do
    mkdir "$folder/$number"
    "$folder/venv/bin/python" "$folder/program.py" "$folder/$number" || true
done
sleep 3 # for wandb-core, should it still have something to do
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import wandb
from wandb.proto import wandb_internal_pb2

assert wandb.__version__ == "0.31.0", wandb.__version__


def rows(path):
    """How many rows of history are in a file, which is in LevelDB's log format after 7 bytes."""
    raw, at, parts, count = path.read_bytes(), 7, b"", 0
    while at + 7 <= len(raw):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(raw[at + 4 : at + 6], "little"), raw[at + 6]
        parts += raw[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            count += record.WhichOneof("record_type") == "history"
            parts = b""
    return count


files = sorted(Path(sys.argv[1]).glob("[1-8]/wandb/offline-run-*/*.wandb"))
left = [rows(file) for file in files]
print("rows left of 50, by run:", *left)
if len(left) == 8 and set(left) == {50}:
    sys.exit("wandb behaves otherwise now")
PYTHON
