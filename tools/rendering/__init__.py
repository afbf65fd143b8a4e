"""Renders machined parts, with and without defects, as a data set in the Real-IAD layout."""
