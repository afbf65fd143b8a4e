"""Matchers: rules that decide which frames are of one part, one file each; pure, clocks are arguments.

In: frames and triggers, in the order of their arrival. Out: view sets. No threads.

Read first: ``matcher``, the interface and the rules that all of them have; then ``by_trigger`` (software
triggers), ``by_time`` (free-running cameras) and ``by_counter`` (cameras with a trigger line).
``part_ids`` gives the line's part ids to sets of the last kind.
"""
