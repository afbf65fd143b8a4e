"""Process of a box: shutdown within a time limit, systemd's notifications, and the thread switch interval.

In: signals, and the service manager's environment variables. Out: exit codes, readiness and watchdog
notifications.

Threads: ``shutdown`` starts the thread "timed-end", which ends the process even while the main thread
hangs.

Read first: ``shutdown``.
"""
