"""Precisions other than fp32: what stays in float, float16, int8 for each engine, and the gate that they must pass."""
