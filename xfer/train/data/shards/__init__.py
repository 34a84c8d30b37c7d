"""Tar shards in WebDataset's form: listed, read, written and fetched. Importing this brings no torch."""

from xfer.train.data.shards.fetching import fetch_shards, is_remote
from xfer.train.data.shards.index import read_member, scan
from xfer.train.data.shards.writing import write_shards

__all__ = ["fetch_shards", "is_remote", "read_member", "scan", "write_shards"]
