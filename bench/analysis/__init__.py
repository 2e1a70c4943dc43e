"""From records and published numbers to what may be said of them. Arrays and text; no torch here."""
