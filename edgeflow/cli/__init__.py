"""The command line: each command parses its options, calls one function and prints the answer.

In: arguments of the shell. Out: text, or JSON with ``--json``, and an exit code. ``output_thread`` in
``terminal`` starts the one thread, which prints the results of ``run``. Nothing imports this package. Read
``main.py`` first: it holds the table of all commands.
"""
