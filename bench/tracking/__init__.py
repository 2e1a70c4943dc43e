"""Trackers: what a run goes through, told to the tools that people watch runs with."""
