"""OPC UA server of a box: a process of its own beside the running box, after OPC 40100-1 (Machine Vision).

In: decisions, results and state over the box's local socket. Out: a vision system with its state machine,
results, recipes and methods, and plain variables for simple clients; commands to the box, in its user's name.

It runs on one event loop; commands wait for the box on a pool of threads. Where the box's triggers are
messages, a thread ``mqtt`` sends those of clients.

Read ``server.py`` first (all parts joined), then ``address_space.py``; who may do what is decided in
``clients/access.py`` and ``clients/sessions.py``.
"""
