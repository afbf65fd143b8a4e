"""Images, maps and record of a part, kept on disk for as long as there is room."""
