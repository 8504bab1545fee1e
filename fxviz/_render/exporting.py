"""Exporting: a finished figure as a picture or a page, an annotated graph in a form that other programs read."""
