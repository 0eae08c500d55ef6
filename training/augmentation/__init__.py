"""Augmentation: changed copies of training clips, of their waveform and of their features.

Only what a model is fitted on is changed; validation and test parts are heard as they are.
"""
