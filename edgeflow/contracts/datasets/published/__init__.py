"""Layouts of published data sets on disk, one reader a module; ``image_folders`` is what several share."""
