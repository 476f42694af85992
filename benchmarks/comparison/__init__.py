"""Parts of benchmarks/time_to_accuracy.py: pictures, contenders, results and what they say."""
