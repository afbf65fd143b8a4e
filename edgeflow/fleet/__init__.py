"""Fleet: bundles in a TUF repository of static files, and the agent with which a box follows it.

In, at the publisher: signed bundles and keys. Out: a folder for any web server. In, at a box: that repository
and what the box records of its parts. Out: commands to the running box through its local socket, and a
retained status over MQTT.

No threads; ``edgeflow fleet follow`` is a process of its own.

Read ``rollout.py`` (what is published) and ``steps.py`` (what a box does, pure) first; then ``agent.py``.
"""
