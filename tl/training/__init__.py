"""Run phases of training with Keras `fit`: what they receive is data, what they give is records."""
