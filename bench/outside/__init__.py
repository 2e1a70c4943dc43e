"""Predictions that were made elsewhere: imported, scored here, and compared like those of our own runs."""
