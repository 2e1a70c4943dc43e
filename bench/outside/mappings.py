"""What the authors' programs call the parts of a model, and what we call them: a table for each program.

Left the name here, below `model.` of a `DocumentModel`; right theirs. `{i}` counts layers. Where ours is one tensor and
theirs are several, these follow each other by rows, with how many shares of the rows each has.

The encoder is `model.` there and `encoder.model.` here. Read from checkpoints that the programs' own classes have made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.errors import UsageError

Theirs = str | tuple[tuple[str, int], ...]
Shape = tuple[str | int, ...]
"""Of a tensor: numbers and names of sizes, `e` of a pair, `d` of the encoder, `products` of a group's, `classes`."""


@dataclass(frozen=True)
class Unused:
    """Tensors that a program saves and that have no say in its logits.   tensors: name -> shape.   why: in words."""

    why: str
    tensors: Mapping[str, Shape]


@dataclass(frozen=True)
class ProgramMapping:
    """How the checkpoints of a program are read and written.

    program: what it is called.   version: raise it when the same file would give other weights.
    names: ours -> theirs.   unused: what has no place here.   own: what of theirs no other program here has.
    products: their tensor whose columns are the e x block products of a pair.
    counted: hyperparameters that a file tells by how many layers it has; by_rows: by the rows of a tensor.
    fixed: hyperparameters that the program's code fixes.   assumed: those of its command line that decide predictions.
    reading: what of `Training` decides how it predicts.
    old_encoder: whether it names a version of transformers that kept `position_ids`.
    remark: what whoever imports a checkpoint should know.   difference: how the model differs from the program.
    """

    program: str
    names: Mapping[str, Theirs]
    fixed: Mapping[str, Any]
    products: str = "bilinear.weight"
    unused: tuple[Unused, ...] = ()
    own: str = ""
    counted: Mapping[str, str] = field(default_factory=dict)
    by_rows: Mapping[str, str] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    old_encoder: bool = True
    remark: str = ""
    difference: str = ""
    version: int = 1


BY_CLASS = ("classifier.weight", "classifier.bias")
"""Ours whose rows are the classes: the threshold class, then the relations."""
ONLY_FOR_LOSS = ("risk.",)
"""Ours, by the beginning of the name, that no program saves: what the loss alone asks for."""
NO_ENCODER_PART = ("pooler.", "embeddings.position_ids", "embeddings.token_type_ids")
"""Of the encoder, by the beginning of the name: what is not used, and what old versions of transformers counted out."""

FEATURES = {
    "features.head.linear.weight": "head_extractor.weight",
    "features.head.linear.bias": "head_extractor.bias",
    "features.tail.linear.weight": "tail_extractor.weight",
    "features.tail.linear.bias": "tail_extractor.bias",
}
BILINEAR = {
    "classifier.weight": "bilinear.weight",
    "classifier.bias": "bilinear.bias",
}
SAME_FILES = (
    "checkpoints of ATLOP, SSR-PU and DREEAM have the same tensors: that it is one of {program} is taken from the "
    "command line"
)

ATLOP = ProgramMapping(
    program="ATLOP",
    names={**FEATURES, **BILINEAR},
    fixed={"pair_size": 768, "block_size": 64},
    assumed=("num_labels",),
    remark=SAME_FILES.format(program="ATLOP"),
)
SSRPU = ProgramMapping(
    program="SSR-PU",
    names={**FEATURES, **BILINEAR},
    fixed={"pair_size": 768, "block_size": 64},
    remark=SAME_FILES.format(program="SSR-PU"),
)
DREEAM = ProgramMapping(
    program="DREEAM",
    names={**FEATURES, **BILINEAR},
    fixed={"pair_size": 768, "block_size": 64},
    assumed=("num_labels", "evidence_threshold"),
    remark=SAME_FILES.format(program="DREEAM"),
)

AXIAL: dict[str, Theirs] = {
    "axial.layers.{i}.column.query_key_value.weight": (
        ("axial_transformer.axial_attns.{i}.axial_attentions.0.fn.to_q.weight", 1),
        ("axial_transformer.axial_attns.{i}.axial_attentions.0.fn.to_kv.weight", 2),
    ),
    "axial.layers.{i}.column.output.weight": "axial_transformer.axial_attns.{i}.axial_attentions.0.fn.to_out.weight",
    "axial.layers.{i}.column.output.bias": "axial_transformer.axial_attns.{i}.axial_attentions.0.fn.to_out.bias",
    "axial.layers.{i}.row.query_key_value.weight": (
        ("axial_transformer.axial_attns.{i}.axial_attentions.1.fn.to_q.weight", 1),
        ("axial_transformer.axial_attns.{i}.axial_attentions.1.fn.to_kv.weight", 2),
    ),
    "axial.layers.{i}.row.output.weight": "axial_transformer.axial_attns.{i}.axial_attentions.1.fn.to_out.weight",
    "axial.layers.{i}.row.output.bias": "axial_transformer.axial_attns.{i}.axial_attentions.1.fn.to_out.bias",
    "axial.layers.{i}.linear.weight": "axial_transformer.ffns.{i}.weight",
    "axial.layers.{i}.linear.bias": "axial_transformer.ffns.{i}.bias",
    "axial.layers.{i}.norm.weight": "axial_transformer.lns.{i}.weight",
    "axial.layers.{i}.norm.bias": "axial_transformer.lns.{i}.bias",
}
KD_DOCRE = ProgramMapping(
    program="KD-DocRE",
    names={
        **FEATURES,
        "projection.weight": "projection.weight",
        "classifier.weight": "classifier.weight",
        "classifier.bias": "classifier.bias",
        **AXIAL,
    },
    products="projection.weight",
    unused=(
        Unused(
            "a layer left over from ATLOP, which the program does not call",
            {"bilinear.weight": ("classes", "products"), "bilinear.bias": ("classes",)},
        ),
    ),
    own="projection.weight",
    counted={"axial_layers": "axial_transformer.lns.{i}.weight"},
    fixed={"pair_size": 1024, "block_size": 64, "axial_layers": 6, "axial_heads": 8},
    assumed=("num_labels",),
)

UNIT = "mu_encoder.token_turing_machine_unit."
MEMORY = {
    "read.memory_tokens": "mu_encoder.memory_tokens",
    "read.norm.weight": f"{UNIT}token_learner_model.layernorm.weight",
    "read.norm.bias": f"{UNIT}token_learner_model.layernorm.bias",
    "read.mlp.0.weight": f"{UNIT}token_learner_model.mlp1.linear_1.weight",
    "read.mlp.0.bias": f"{UNIT}token_learner_model.mlp1.linear_1.bias",
    "read.mlp.2.weight": f"{UNIT}token_learner_model.mlp1.linear_2.weight",
    "read.mlp.2.bias": f"{UNIT}token_learner_model.mlp1.linear_2.bias",
    "process.{i}.query_key_value.weight": f"{UNIT}vit_encoder.layers.{{i}}.self_attn.in_proj_weight",
    "process.{i}.query_key_value.bias": f"{UNIT}vit_encoder.layers.{{i}}.self_attn.in_proj_bias",
    "process.{i}.attended.weight": f"{UNIT}vit_encoder.layers.{{i}}.self_attn.out_proj.weight",
    "process.{i}.attended.bias": f"{UNIT}vit_encoder.layers.{{i}}.self_attn.out_proj.bias",
    "process.{i}.norm_attended.weight": f"{UNIT}vit_encoder.layers.{{i}}.norm1.weight",
    "process.{i}.norm_attended.bias": f"{UNIT}vit_encoder.layers.{{i}}.norm1.bias",
    "process.{i}.feed_forward.0.weight": f"{UNIT}vit_encoder.layers.{{i}}.linear1.weight",
    "process.{i}.feed_forward.0.bias": f"{UNIT}vit_encoder.layers.{{i}}.linear1.bias",
    "process.{i}.feed_forward.2.weight": f"{UNIT}vit_encoder.layers.{{i}}.linear2.weight",
    "process.{i}.feed_forward.2.bias": f"{UNIT}vit_encoder.layers.{{i}}.linear2.bias",
    "process.{i}.norm.weight": f"{UNIT}vit_encoder.layers.{{i}}.norm2.weight",
    "process.{i}.norm.bias": f"{UNIT}vit_encoder.layers.{{i}}.norm2.bias",
}
WRITE = f"{UNIT}token_add_erase_write."
WRITE_STEP: dict[str, Shape] = {
    **{f"{WRITE}layernorm{n}.{part}": ("e",) for n in (1, 2, 3) for part in ("weight", "bias")},
    **{f"{WRITE}mlp{n}.linear_1.weight": ("e", "e") for n in (1, 3, 5)},
    **{f"{WRITE}mlp{n}.linear_1.weight": ("e", 2) for n in (2, 4)},
    **{f"{WRITE}mlp{n}.linear_1.bias": ("e",) for n in (1, 2, 3, 4, 5)},
    **{f"{WRITE}mlp{n}.linear_2.weight": (2, "e") for n in (1, 2, 4)},
    **{f"{WRITE}mlp{n}.linear_2.weight": ("e", "e") for n in (3, 5)},
    **{f"{WRITE}mlp{n}.linear_2.bias": (2,) for n in (1, 2, 4)},
    **{f"{WRITE}mlp{n}.linear_2.bias": ("e",) for n in (3, 5)},
}
TTMRE = ProgramMapping(
    program="TTM-RE",
    names={
        "projection.linear.weight": "head_extractor.weight",
        "projection.linear.bias": "head_extractor.bias",
        **BILINEAR,
        **MEMORY,
    },
    unused=(
        Unused(
            "heads and tails both go through head_extractor",
            {"tail_extractor.weight": ("e", "2d"), "tail_extractor.bias": ("e",)},
        ),
        Unused("the step that writes to memory, whose result the program throws away", WRITE_STEP),
    ),
    own="mu_encoder.memory_tokens",
    counted={"layers": f"{UNIT}vit_encoder.layers.{{i}}.norm1.weight"},
    by_rows={"memory": "mu_encoder.memory_tokens"},
    fixed={"pair_size": 768, "block_size": 64, "memory": 200, "heads": 8, "chunk": 256},
    reading={"batch_size": 1},
    old_encoder=False,
    remark="its predictions depend on what else is in a batch: one document in each, unless --set batch_size says more",
)

MAPPINGS: Mapping[str, ProgramMapping] = {
    "atlop": ATLOP,
    "ssrpu": SSRPU,
    "kd_docre-released": KD_DOCRE,
    "kd_docre": replace(
        KD_DOCRE,
        difference="its program attends to what it fills up the matrices of entities with, and kd_docre does not: "
        "kd_docre-released computes what it does",
    ),
    "dreeam": DREEAM,
    "ttmre-released": TTMRE,
}
"""By the registered name of the model that a checkpoint is read as."""


def mapping_of(model: str) -> ProgramMapping:
    """The mapping of a registered model. Raises UsageError naming those that there are."""
    if model not in MAPPINGS:
        near = next((name for name in MAPPINGS if name == f"{model}-released"), "")
        meant = f" That of its authors' program is {near!r}." if near else ""
        raise UsageError(
            f"there is no checkpoint of an author's program that is {model!r} here.{meant}\n"
            f"Choices: {', '.join(MAPPINGS)}"
        )
    return MAPPINGS[model]


def model_with(name: str) -> str:
    """The model whose program alone has a tensor of this name; "" where there is none, or several have it."""
    return next((model for model, mapping in MAPPINGS.items() if mapping.own and name == mapping.own), "")
