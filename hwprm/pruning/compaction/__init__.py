"""From zeros to smaller matrices: compaction, narrowing, and networks cut by a plan."""
