"""Packages of a box: a folder of wheels, a Debian package, a container, and the list of what is in them."""
