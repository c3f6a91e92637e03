"""The launcher's window."""

from gui import fonts

fonts.protect()  # before CustomTkinter is imported anywhere
