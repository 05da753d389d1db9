"""HTTP/1.1 as one client needs it: a pool of connections, one exchange at a time on each.

Ours, for it is on the path of every call: a general client took three times the CPU of a whole echo call. Bytes are
parsed by llhttp (through httptools), as in Node.js; only framing, pooling and bounds are ours.
"""
