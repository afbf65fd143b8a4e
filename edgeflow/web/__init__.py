"""The box's page in a browser: a process of its own beside the running box.

In: the live stream and commands over the box's local socket; its history; its evidence. Out: HTML for people,
sent anew over server-sent events when something changes.

Threads: ``box`` follows the live stream; uvicorn's event loop and its pool serve browsers.

Read ``app.py`` first (all routes), then ``box_link.py``; ``security/`` decides who may do what.
"""
