"""Detection in large collections of pairs, by Ray."""
