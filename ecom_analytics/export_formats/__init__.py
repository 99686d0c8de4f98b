"""Export formats: how rows are written to a file. Each is a plug-in of the kind ``export_formats``."""
