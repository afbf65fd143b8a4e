"""The health of a box: alarms, cameras that stopped, views that moved, blurred or were swapped."""
