#!/usr/bin/env python3
"""Makes the goldens of this folder with sentence-transformers' own quantize_embeddings.

  pip download --no-deps sentence-transformers==6.2.0 && unzip sentence_transformers-6.2.0-*.whl
  pip install numpy==2.4.6
  python make.py sentence_transformers/util/quantization.py

Input: the 40 x 384 float32 rows of ../embeddings/all-MiniLM-L6-v2.ref.f32, cut to their first 61 columns in the second
set (61 is no multiple of 8). Column 3 of the second set is 0 everywhere (a step of 0). Ranges: minima, then maxima of
the first 20 rows, so that other rows lie outside. Files: <columns>.<output>.bin, rows one after another, and
<columns>.ranges.f32. Only the module's function runs; torch, which the module imports for a type, need not be there.
"""

import pathlib
import sys
import types

import numpy as np

here = pathlib.Path(__file__).parent
torch = types.ModuleType("torch")
torch.Tensor = type("Tensor", (), {})
package = types.ModuleType("st")
package.__path__ = []
tensor = types.ModuleType("st.tensor")
tensor._tensor_to_numpy = None
sys.modules.update({"torch": torch, "st": package, "st.tensor": tensor})
quantization = types.ModuleType("st.quantization")
quantization.__package__ = "st"
exec(pathlib.Path(sys.argv[1]).read_text(), quantization.__dict__)

rows = np.fromfile(here / "../embeddings/all-MiniLM-L6-v2.ref.f32", dtype="<f4").reshape(40, 384)
cut = rows[:, :61].copy()
cut[:, 3] = 0
for columns, x in ((384, rows), (61, cut)):
    ranges = np.stack([x[:20].min(axis=0), x[:20].max(axis=0)]).astype("<f4")
    ranges.tofile(here / f"{columns}.ranges.f32")
    for output in ("int8", "uint8", "binary", "ubinary"):
        quantization.quantize_embeddings(x, output, ranges=ranges).tofile(here / f"{columns}.{output}.bin")
