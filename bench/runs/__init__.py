"""A run as plain data and files: its recipe, plan and keys, its folders and its record. No torch here."""
