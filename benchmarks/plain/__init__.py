"""The models as their equations stand, whatever that takes: what the others are checked and timed against.

Every layer's attention maps are asked for, entities are pooled one after another, each pair gets its own copy of its
entities' attention and of the memory, outer products are held for the backward pass, losses go class by class. The
weights are those of the system given (the same parameters), so gradients land where its own would.
"""
