"""Report of one shift as one HTML file that needs nothing else, in the words of the page.

In: the box's history, its evidence and the state of the drift watch. Out: the file, and the same as data.

Threads: none. Read ``content.py`` first (all figures), then ``document.py`` (HTML and JSON); ``chart.py``
draws the score trend as SVG, ``pictures.py`` has small pictures of parts.
"""
