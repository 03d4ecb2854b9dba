"""Detection in pairs of videos, numbered folders and cameras."""
