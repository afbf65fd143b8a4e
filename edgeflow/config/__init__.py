"""The box file: YAML to frozen models that are complete and checked.

In: a YAML file and ``--set`` overrides. Out: one ``BoxConfig``. Starts no threads. Read ``box.py`` first;
every other module holds the sections of one subject.
"""
