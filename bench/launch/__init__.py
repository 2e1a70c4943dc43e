"""Where runs are carried out, and how far they are: processes of this machine, what the queue says, the display."""
