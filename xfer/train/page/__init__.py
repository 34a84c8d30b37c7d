"""Pages for people: one HTML file each that needs nothing else, neither network nor script.

`whole` makes the page around its parts, `markup` and `png` make these; what a page says is written beside what it says
it of: data, augmentation, training, listening to a scene, parity.
"""

from xfer.train.page.markup import Child, Markup, element, join, number
from xfer.train.page.whole import described, page, sheet, tiles

__all__ = ["Child", "Markup", "described", "element", "join", "number", "page", "sheet", "tiles"]
