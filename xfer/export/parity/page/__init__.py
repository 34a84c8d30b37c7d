"""The page of a parity report: one HTML file that needs nothing else, neither network nor script."""

from xfer.export.parity.page.document import document

__all__ = ["document"]
