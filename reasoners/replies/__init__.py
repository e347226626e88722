"""Replies worth sending: checks of what a model says, and written replies for where it fails."""
