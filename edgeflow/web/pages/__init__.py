"""The pages themselves: each module reads what it shows and hands it to a template.

Read ``line.py`` first.
"""
