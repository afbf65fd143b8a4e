"""The connection to the broker, and everything that is published and received over it.

In: decisions, results and documents of the box; messages of the broker. Out: MQTT packets; received messages
go to the handlers of their topics, and events (connected, confirmed, acknowledged, lost) to one listener.

Thread: ``mqtt`` connects, reads and calls the handlers; publishing threads write to the socket themselves.
Publishing never blocks and needs no connection.

Read ``link.py`` first: what the box publishes and receives. ``connection.py`` connects again and again,
``socket_loop.py`` drives one paho client, ``broker/`` explains the broker's answers and limits.
"""
