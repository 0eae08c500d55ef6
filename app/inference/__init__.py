"""From features to probabilities, and the processes that do it. Knows nothing of HTTP."""
