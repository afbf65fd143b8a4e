"""Ways to find out which frames are one part, one file each; all pure, with the clock as an argument."""
