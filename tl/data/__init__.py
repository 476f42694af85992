"""From bytes on disk to batches: sources, inspection, split, decoding, batches."""
