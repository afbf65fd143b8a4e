"""Readies the machine for drawing without a display, or says which packages it lacks."""

from __future__ import annotations

import ctypes
import os
import sys

from edgeflow.errors import DeviceError

__all__ = ["ready_offscreen"]

EGL_PLATFORM_SURFACELESS = 0x31DD


def ready_offscreen() -> None:
    """Have VTK draw through EGL, which needs no X server; call before a window is opened.

    Raises:
        DeviceError: EGL or its driver is missing; VTK itself would end the process without a word.
    """
    # Mesa's software renderer takes every core unless told otherwise; parts go to several processes instead.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    if sys.platform != "linux" or "VTK_DEFAULT_OPENGL_WINDOW" in os.environ:
        return
    if not _egl_answers():
        raise DeviceError(
            "rendering: this machine has no working EGL; install it with  "
            "apt-get install --no-install-recommends libegl1 libgl1-mesa-dri"
        )
    os.environ["VTK_DEFAULT_OPENGL_WINDOW"] = "vtkEGLRenderWindow"


def _egl_answers() -> bool:
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    egl.eglGetDisplay.restype = egl.eglGetPlatformDisplay.restype = ctypes.c_void_p
    egl.eglGetDisplay.argtypes = [ctypes.c_void_p]
    egl.eglGetPlatformDisplay.argtypes = [ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
    egl.eglInitialize.argtypes = [ctypes.c_void_p] * 3
    displays = (egl.eglGetPlatformDisplay(EGL_PLATFORM_SURFACELESS, None, None), egl.eglGetDisplay(None))
    return any(display and egl.eglInitialize(display, None, None) for display in displays)
