"""Pre-registered study: do scores at initialization tell which networks train?

    python -m deepinit.diagnosis.study run --out DIR       train, score, repair; resumes
    python -m deepinit.diagnosis.study collect --out DIR   blocks into the committed results.jsonl

Networks, thresholds and formulas are in `configurations.json`, committed before any training.
"""
