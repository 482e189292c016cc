"""Other readers on the same pictures: one module each, run by ``make accuracy``.

Each is a program of its own (``python -m bench.peers.NAME LABELS OUT``), so that it can live in
another virtual environment than the product: of this package they use ``protocol`` only, which
needs numpy and OpenCV and nothing of ``detect_api``.
"""
