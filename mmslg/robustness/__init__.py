"""What a detector keeps when images are missing, moved or corrupted: plan, run, table, pictures."""
