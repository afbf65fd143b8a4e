"""USB cameras through Video4Linux.

In: a device path and camera controls. Out: RGB frames, stamped by the kernel. No threads of its own.

Read first: ``camera``; ``usb`` finds serial numbers and cameras that have the same one.
"""
