"""Checkpoint -> model file, proved."""
