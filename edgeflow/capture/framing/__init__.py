"""Framing of a view while a box is set up: crops from what is seen, and planes from a calibration board.

In: one image of a camera. Out: what a recipe's ``image.geometry`` says of it. Starts no threads. Read
``crop_proposal.py`` first.
"""
