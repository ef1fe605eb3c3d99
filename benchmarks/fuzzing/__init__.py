"""Inputs that went wrong on purpose, and what a right answer to each of them is."""
