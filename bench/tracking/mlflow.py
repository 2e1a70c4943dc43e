"""MLflow: a database below the output folder, or wherever MLFLOW_TRACKING_URI says."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from bench.locks import waiting_for
from bench.tracking.interface import PROJECT, Axis, Rows, State, TrackedRun

KEY = "docre_bench.key"
"""The tag by which a run is found again that goes on."""
MOST_PARAMS, MOST_METRICS = 100, 1000
"""So many MLflow takes at once."""
STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MLflow:
    """A run of the experiment `docre-bench`, found again by its key."""

    def begin(self, run: TrackedRun) -> None:
        """Find the run, or make it. MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME of the environment go first."""
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        for of_database in ("mlflow.store.db.utils", "alembic"):  # that it makes its tables, into the live display
            logging.getLogger(of_database).setLevel(logging.WARNING)
        run.folder.mkdir(parents=True, exist_ok=True)
        own = f"sqlite:///{run.folder.absolute() / 'mlflow.db'}"
        # Processes that begin at the same time would make the tables, and the experiment, at the same time.
        with waiting_for(run.folder / "mlflow.lock"):
            self._client: Any = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", own))
            experiment = _experiment(self._client, os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT), run)
            found = self._client.search_runs([experiment], f"tags.`{KEY}` = '{run.key}'", max_results=1)
            if found:
                self._id = found[0].info.run_id
                self._client.update_run(self._id, status="RUNNING")
                return
            tags = {KEY: run.key, "group": run.group}
            self._id = self._client.create_run(experiment, tags=tags, run_name=run.name).info.run_id
        params = [Param(name, str(value)) for name, value in run.config.items()]
        for first in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(self._id, params=params[first : first + MOST_PARAMS])

    def kept(self) -> None:
        """It keeps what it is told."""

    def scalars(self, stage: str, axis: Axis, rows: Rows) -> None:
        """Metrics; those by epoch have the epoch as MLflow's step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, at) for at, values in rows for name, value in values.items()]
        for first in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self._id, metrics=metrics[first : first + MOST_METRICS])

    def end(self, state: State) -> None:
        """Write down how it ended."""
        self._client.set_terminated(self._id, status=STATUS[state])


def _experiment(client: Any, name: str, run: TrackedRun) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Else files of its runs would go to a folder beside whatever folder the command was typed in.
    where = None if "MLFLOW_TRACKING_URI" in os.environ else (run.folder.absolute() / "mlflow-artifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=where))
