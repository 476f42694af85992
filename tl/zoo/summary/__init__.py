"""What a network is, layer by layer: shapes, weights, multiply-adds, memory, what it sees.

``arithmetic`` and ``receptive_field`` are the formulas of the lectures as functions of numbers;
``windows`` and ``counts`` read those numbers from Keras layers; ``graph`` puts the layers in order;
``network`` joins them; ``inputs`` says which pictures a network takes; ``unallocated`` builds
networks without their weights.
"""
