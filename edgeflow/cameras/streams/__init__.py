"""Network streams and video files through FFmpeg."""
