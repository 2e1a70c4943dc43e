"""Data sets by name: registered from files, downloaded, described, opened."""
