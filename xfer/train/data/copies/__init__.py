"""Finding copies of one sound: under another name, re-encoded, louder or quieter, cut or shifted, upside down.

A print is made of each clip in the pass that decodes it (`prints`); an inverted index over all prints gives the pairs
that share codes at one offset (`candidates`); the waveforms of these pairs, and only these, are aligned and compared
piece by piece (`alike`). The prints only have to miss nothing, since the waveforms decide: speech of the same words,
another take, a loop that two tracks share, or the same note is no copy.

Not found: copies at another speed or pitch, copies under a louder sound, and copies of which the shorter one holds
less than 0.15 s of sound. Of a clip of over two minutes the beginning is compared.
"""

from xfer.train.data.copies.find import find_copies
from xfer.train.data.copies.prints import fingerprint

__all__ = ["find_copies", "fingerprint"]
