"""One running inspection box: builds all parts from the box file, runs the line, shuts down in order.

In: a box file. Out: decisions to the gate, results to the outbox, evidence on disk, the station's state
over MQTT.

Threads: the main thread runs the line; ``scoring_thread`` starts the thread "scoring", so that a device
that hangs does not stop the line. ``services`` starts what runs beside it: MQTT, outbox, evidence,
commands.

Read first: ``line``, from a view set to its result; then ``station``, the order of start and shutdown.
``replay`` runs recorded parts through the same line and publishes nothing. ``products`` gives a part the
bundle of its own product.
"""
