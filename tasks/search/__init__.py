"""Search: collections of documents and queries, exact search, BM25, re-ranking, and metrics."""
