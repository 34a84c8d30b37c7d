"""Data sets: clips, layouts, splits, the check, and the windows that a net is fed with."""
