"""The report's figures: numbers (series.py), drawings of them (draw.py), one look for all (style.py)."""
