"""Commands to a running box: received, authorised, recorded, carried out and answered.

In: messages on the box's command topics, and lines on its local socket. Out: calls of the box's operations,
replies, and an append-only audit log.

Threads: ``commands`` carries out one command at a time, ``control`` serves the local socket.

Read ``service.py`` first (all parts joined), then ``dispatcher.py``; ``rules.py`` authorises and is pure.
"""
