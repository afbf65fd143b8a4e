"""Modbus TCP server of a box: the latest decision in registers that a PLC reads and nobody writes.

In: decisions and state over the box's local socket. Out: registers; their table is in
``docs/how-to/modbus.md``. Where the box does not answer, the register ``gate`` says reject.

It runs on one event loop, in a process of its own beside the box.

Read ``registers.py`` first; ``server.py`` follows the box and answers.
"""
