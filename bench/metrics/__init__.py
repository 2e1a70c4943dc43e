"""Scores of predicted triples: the official ones, and those of slices of a split."""
