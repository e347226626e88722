"""Fakes with realistic timing, for tests of graphs and of the nodes that people write."""
