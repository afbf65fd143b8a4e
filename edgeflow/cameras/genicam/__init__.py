"""GigE Vision and USB3 Vision cameras through Aravis.

In: a camera's identifier, feature settings and software triggers. Out: RGB frames, stamped by the camera's
own clock where it can be compared with the computer's. No threads of its own.

Read first: ``camera``. ``device_clock`` and ``trigger_pairing`` are pure.
"""
