"""From bytes to features. Pure: numpy, scipy, soundfile, soxr and librosa, and nothing above."""
