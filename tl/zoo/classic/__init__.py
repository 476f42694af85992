"""The networks of the textbooks that Keras has not, one readable file an architecture.

Each function takes a Keras tensor of pixels and gives one of features, or, with `classes`, of
logits. Nothing is imported here: `tl.zoo.classic.style` is read where Keras is not loaded.
"""
