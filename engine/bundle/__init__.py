"""All that a machine without a network needs, in one directory: wheels, model, adapters, an installer.

`wheels` asks pip for wheels, `making` puts the directory together, `contents` is the manifest, `texts` has
what is said meanwhile; `install.sh` goes into each bundle.
"""
