"""Studies: many methods and seeds under one budget, and what they show.

plan.py        a lab's YAML and a command line -> what is to be run
schedule.py    runs -> finished run folders, by worker processes (worker.py, runs.py, held_out.py)
records.py     finished run folders -> one record per run
results.py     records -> means, paired differences, power, the papers' claims
gradients.py   one checkpoint, many rollout batches -> the gradient of every method (moments.py judges them)
"""
