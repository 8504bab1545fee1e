"""Reports about a model: summaries, explanations, comparisons, and the tables that they are written as."""
