"""The broker: its answers, limits and refusals, and the messages that end a connection.

In: CONNACK properties, answers and the ends of connections. Out: texts for people, alarms on refusals,
and the decision to end a stalled connection. It starts no threads; most of it is pure.

Read ``watch.py`` first: it joins the others for one link.
"""
