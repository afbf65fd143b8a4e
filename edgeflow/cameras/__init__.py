"""Camera drivers: one camera in, frames out, whatever happens to the driver.

In: the ``cameras`` section of a box file, and software triggers. Out: frames with their capture stamps,
lost frames, the end of recordings, and the health of every camera.

Threads: ``worker`` starts one thread per camera, which reads and reopens it. Drivers that may hang or
crash in native code run in a child process each (``process``, ``process_main``) and pass images through
shared memory (``shared_frames``).

Read first: ``camera``, the frame and the interface of all drivers; then ``group``, which opens, triggers
and closes all cameras of a box. ``drivers`` maps the kind in a box file to the driver's module, which is
imported only when it is needed: its library may be missing.
"""
