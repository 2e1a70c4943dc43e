"""DocRED's documents as `datasets` writes them: tables, with and without its ways of saying things."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

Shape = Literal["structs", "lists", "classes"]
"""Lists of structs; structs of lists, as features say `Sequence`; the same with numbers of a ClassLabel."""
MENTION = pa.struct(
    {"name": pa.string(), "sent_id": pa.int32(), "pos": pa.list_(pa.int32()), "type": pa.string()}.items()
)


def table(items: Sequence[dict[str, Any]], shape: Shape = "structs", labels: bool = True) -> pa.Table:
    """Elements of DocRED's JSON as a table. labels: whether there is a column of them."""
    relations = sorted({label["r"] for item in items for label in item.get("labels", ())})
    columns: dict[str, Any] = {
        "title": pa.array([item["title"] for item in items], pa.string()),
        "sents": pa.array([item["sents"] for item in items], pa.list_(pa.list_(pa.string()))),
        "vertexSet": pa.array([item["vertexSet"] for item in items], pa.list_(pa.list_(MENTION))),
    }
    if labels:
        rows = [[_label(label, shape, relations) for label in item.get("labels", ())] for item in items]
        kind: dict[str, pa.DataType] = {
            "h" if shape == "structs" else "head": pa.int32(),
            "t" if shape == "structs" else "tail": pa.int32(),
            "r" if shape == "structs" else "relation_id": pa.int64() if shape == "classes" else pa.string(),
            "evidence": pa.list_(pa.int32()),
        }
        if shape == "structs":
            columns["labels"] = pa.array(rows, pa.list_(pa.struct(kind.items())))
        else:
            turned = [{key: [row[key] for row in of_item] for key in kind} for of_item in rows]
            columns["labels"] = pa.array(turned, pa.struct({k: pa.list_(v) for k, v in kind.items()}.items()))
    made = pa.table(columns)
    if shape == "classes":
        feature = {"feature": {"relation_id": {"names": relations, "_type": "ClassLabel"}}, "_type": "Sequence"}
        features = {"info": {"features": {"title": {"dtype": "string", "_type": "Value"}, "labels": feature}}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(features)})
    return made


def _label(label: dict[str, Any], shape: Shape, relations: Sequence[str]) -> dict[str, Any]:
    evidence = label.get("evidence", [])
    if shape == "structs":
        return {"h": label["h"], "t": label["t"], "r": label["r"], "evidence": evidence}
    relation = relations.index(label["r"]) if shape == "classes" else label["r"]
    return {"head": label["h"], "tail": label["t"], "relation_id": relation, "evidence": evidence}


def save(made: pa.Table, path: Path) -> Path:
    """Write a table as what the name of its file says, an Arrow file as the stream that `save_to_disk` makes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(made, path, row_group_size=2)
    else:
        with path.open("wb") as file, pa.ipc.new_stream(file, made.schema) as stream:
            stream.write_table(made, max_chunksize=2)
    return path


def save_split(made: pa.Table, folder: Path, shards: int = 1) -> Path:
    """A folder as `save_to_disk` makes it of one split, with what a `map` may have left beside."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
    rows = -(-made.num_rows // shards)
    for i, name in enumerate(names):
        save(made.slice(i * rows, rows), folder / name)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder
