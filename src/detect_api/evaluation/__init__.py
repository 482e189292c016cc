"""How good the engine is: labelled pictures and clips, and what it made of them.

``labels`` reads the files that say what is right, ``score`` compares, ``timing`` takes the time of
each stage, ``report`` writes tables, ``sheet`` shows the failures. Only the command line uses it.
"""
