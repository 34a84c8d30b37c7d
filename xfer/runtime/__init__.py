"""The ground floor: model file + sound -> events. numpy, soundfile, soxr and one engine; never torch."""
