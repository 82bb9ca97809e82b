"""The graders that published figures were made with, by their own rules, false positives included.

mathruler.py    EasyR1's training reward and PAPO-Eval's grader
lookback.py     Look-Back's evaluation
engines.py      what they ask SymPy and math-verify, in a worker; nothing is evaluated as Python
"""
