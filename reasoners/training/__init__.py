"""Trainers of the reasoner: its language model, its heads, and the weights between them."""
