"""Named, cited augmentations; the only place that knows albumentations."""
