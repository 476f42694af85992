"""From a trained classifier to a versioned SavedModel that needs neither tl nor Keras."""
