"""The generated data set: a world of facts (world.py), sentences of them (templates.py), documents (generator.py)."""

from bench.data.sample.generator import SAMPLE_VERSION, SIZES, generate, generate_with_truth
from bench.data.sample.templates import RELATIONS

__all__ = ["RELATIONS", "SAMPLE_VERSION", "SIZES", "generate", "generate_with_truth"]
