"""The edge: settings, the command line, the processes, HTTP. The only package that may import all others."""
