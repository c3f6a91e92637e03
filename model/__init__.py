"""The language model: prompts, talking, training, measuring.

OpenMP's threads must sleep while they wait for each other. By default they spin, and on a laptop
where anything else is busy two spinning threads make llama.cpp 10 to 50 times slower; asleep they
cost a few per cent. It has to be said before llama.cpp is loaded.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
