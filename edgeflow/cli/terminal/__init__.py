"""Output of commands: answers as text or JSON, tables that fit the terminal, the live table of parts.

In: values of a command. Out: text. ``output_thread`` starts one thread, so that a slow reader stops nothing.
Read ``output.py`` first.
"""
