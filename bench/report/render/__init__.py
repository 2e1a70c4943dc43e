"""How tables look: on a terminal, as Markdown, LaTeX, CSV and on a page."""
