"""Servers that misbehave on purpose, for `tlshttp.testing.bad_server`.

``vocabulary`` has the words, ``catalogue`` the named faults made of them, ``recipes`` and
``workshop`` the bad certificates, ``server`` and ``conversation`` carry out what is asked, on the
two TLS engines of ``engine``. Nothing here uses the package's own server: that refuses to
misbehave.
"""
