"""Gradients of the usual objective by hand: a step on a CPU without autograd and without new memory."""
