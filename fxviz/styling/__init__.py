"""From a view to a drawing: every word, colour and size is decided here."""
