#!/usr/bin/env bash
# Pillow 13.0.0: an image that grows in width and shrinks in height is resized in another order than before.
#
# Image.resize works in two passes, rounding to whole grey levels in between. For 300x200 -> 308x196 Pillow
# 12.0.0 takes the width first, 13.0.0 the height. The pixels that a vision-language model sees of the same file
# differ by tens of grey levels where edges are sharp.
#
# Seen with Pillow 12.0.0 and 13.0.0, Python 3.11, bicubic, random black and white:
#   12.0.0 width first: True, height first: False
#   13.0.0 width first: False, height first: True
#   largest difference 30, pixels that differ 66.2%
# This script fails if either takes the other order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 12.0.0 13.0.0; do
  python3 -m pip install --quiet --disable-pip-version-check --target "$folder/$version" "pillow==$version"
  PYTHONPATH="$folder/$version" python3 - "$folder/$version.raw" "$version" <<'PYTHON'
import random
import sys

from PIL import Image

drawn = random.Random(0)
image = Image.frombytes("L", (300, 200), bytes(drawn.choice((0, 255)) for _ in range(300 * 200)))
found = image.resize((308, 196), Image.Resampling.BICUBIC).tobytes()
orders = {"width": (308, 200), "height": (300, 196)}
same = {
    name: found == image.resize(first, Image.Resampling.BICUBIC).resize((308, 196), Image.Resampling.BICUBIC).tobytes()
    for name, first in orders.items()
}
print(*sys.argv[2:], "width first: {width}, height first: {height}".format(**same))
assert [name for name, is_it in same.items() if is_it] == ["width" if sys.argv[2] == "12.0.0" else "height"]
open(sys.argv[1], "wb").write(found)
PYTHON
done
python3 - "$folder/12.0.0.raw" "$folder/13.0.0.raw" <<'PYTHON'
import sys

one, other = (open(path, "rb").read() for path in sys.argv[1:])
apart = [abs(a - b) for a, b in zip(one, other)]
print(f"largest difference {max(apart)}, pixels that differ {sum(map(bool, apart)) / len(apart):.1%}")
assert max(apart) > 1
PYTHON
echo "Pillow 13.0.0 resizes in another order than 12.0.0"
