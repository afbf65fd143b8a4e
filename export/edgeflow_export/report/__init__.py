"""The HTML page that every bundle carries.

In: scores and maps of the graphs on the export's parts. Out: one HTML page with pictures and plots in it.
Read ``page.py`` first.
"""
