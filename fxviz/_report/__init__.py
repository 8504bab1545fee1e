"""What is said of a model: tables, sentences, comparisons."""
