"""Network streams (RTSP, MJPEG over HTTP) and video files through FFmpeg.

In: a URL or a path. Out: RGB frames with capture stamps, none of them damaged. No threads of its own.

Read first: ``decoder``, which bounds what a stream may cost; then ``rtsp`` and ``video_file``.
``stream_clock`` and ``key_frames`` are pure.
"""
