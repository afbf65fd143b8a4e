"""The process of a box: its end, the service manager, the thread switch interval."""
