"""Draw what a model is for print: its stages, one inset for each kind of block, and a table."""
