"""Losses over the logits of pairs that a model can be trained with in place of its own; `bench.losses.interface`."""
