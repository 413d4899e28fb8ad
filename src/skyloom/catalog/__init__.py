"""Table schemas, ids, matching, and reference-catalogue shards."""
