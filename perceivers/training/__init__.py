"""Trainers of the shipped weights; each is one command with data, output folder and seed."""
