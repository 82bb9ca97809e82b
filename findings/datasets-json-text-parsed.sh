#!/usr/bin/env bash
# datasets 5.2.0: text in a JSON column of mixed type is parsed, so that a written "0.50" comes back as 0.5.
#
# Where a JSONL's column holds a number in one row and text in another, load_dataset("json") gives the column
# the type Json and decodes every cell with it, text included: "true" becomes True, "1e3" 1000.0, "0.50" 0.5,
# "007" 7, "null" None and "[1, 2]" a list. Answers of a question set change without a word. A column of dates
# alone becomes timestamps. A column of text alone stays as it is.
#
# Seen with datasets 5.2.0, pyarrow 26.0.1, Python 3.11:
#   ['true', '1e3', '0.50', '007', 'null', '[1, 2]', 3] -> [True, 1000.0, 0.5, 7, None, [1, 2], 3]
# This script fails if a release gives the text back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder/site" datasets==5.2.0 pyarrow==26.0.1
cd "$folder"
HF_HOME="$folder/cache" PYTHONPATH="$folder/site" python3 - <<'PYTHON'
import json

import datasets

datasets.disable_progress_bars()
written = ["true", "1e3", "0.50", "007", "null", "[1, 2]", 3]
with open("rows.jsonl", "w") as file:
    file.writelines(json.dumps({"answer": value}) + "\n" for value in written)
read = list(datasets.load_dataset("json", data_files="rows.jsonl", split="train")["answer"])
print(datasets.__version__, written, "->", read)
assert read == [True, 1000.0, 0.5, 7, None, [1, 2], 3]
PYTHON
echo "datasets 5.2.0 parses text in a JSON column of mixed type"
