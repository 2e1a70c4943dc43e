"""Carrying planned runs out in this process; what it takes, and what it costs."""
