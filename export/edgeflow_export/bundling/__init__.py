"""The export itself: runs the stages in order and writes the verified bundle."""
