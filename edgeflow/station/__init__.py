"""One running inspection box: builds all parts from the box file, runs the line, shuts down in order."""
