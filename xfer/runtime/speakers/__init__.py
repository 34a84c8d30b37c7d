"""Enrolled people: where they are kept, what their recordings must be like, and how they are told apart."""

from xfer.runtime.speakers.binding import Binding, binding_of, check_agreement, form_of, key_of
from xfer.runtime.speakers.calibrate import LEAST_VOICES, Calibrated, Trials, calibrate, provisional, trials
from xfer.runtime.speakers.checks import Finding
from xfer.runtime.speakers.enrol import Candidate, examine, examine_samples, hear, place
from xfer.runtime.speakers.people import Calibration, Person, Recording, Store, check_name
from xfer.runtime.speakers.scoring import AVERAGED, Gallery, Match, decided, gallery, heard
from xfer.runtime.speakers.sound import Sound, measure
from xfer.runtime.speakers.store import folder, locked, path_of, read_store, write_store
from xfer.runtime.speakers.who import Enrolled, enrolled_with, others_enrolled, update

__all__ = [
    "AVERAGED",
    "LEAST_VOICES",
    "Binding",
    "Calibrated",
    "Calibration",
    "Candidate",
    "Enrolled",
    "Finding",
    "Gallery",
    "Match",
    "Person",
    "Recording",
    "Sound",
    "Store",
    "Trials",
    "binding_of",
    "calibrate",
    "check_agreement",
    "check_name",
    "decided",
    "enrolled_with",
    "examine",
    "examine_samples",
    "folder",
    "form_of",
    "gallery",
    "hear",
    "heard",
    "key_of",
    "locked",
    "measure",
    "others_enrolled",
    "path_of",
    "place",
    "provisional",
    "read_store",
    "trials",
    "update",
    "write_store",
]
