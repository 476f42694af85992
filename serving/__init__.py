"""A server and a client for SavedModels that speak TensorFlow Serving's protocol."""
