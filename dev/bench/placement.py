"""What placing adapters costs, and how many copies it moves: `python -m dev.bench.placement`. Needs no cluster."""

import random
import time
from collections.abc import Mapping

from tunefleet.api.names import engine_name
from tunefleet.engine.adapters_api import DesiredAdapter
from tunefleet.plan.asked import Asked
from tunefleet.plan.facts import Key
from tunefleet.plan.holdings import Holding, Need
from tunefleet.plan.placement import Seat, place
from tunefleet.plan.served_names import Seniority

SIZES = ((100, 10, 16), (2000, 50, 64), (2000, 50, 32))
"""Adapters, pods, and slots of each pod."""
HOT = 20

Placed = Mapping[Key, tuple[Holding, ...]]


def holding(number: int) -> Holding:
    """A version that answers."""
    name, digest = f"adapter-{number}", f"sha256:{number:064x}"
    desired = DesiredAdapter(engine_name=engine_name(name, 1, digest), uri=f"s3://a/{name}", digest=digest, rank=8)
    seniority = Seniority("2026-11-21T12:00:00Z", "ml", name, "LoRAAdapter")
    return Holding(Key("ml", name), seniority, 1, 1, Need.SERVING, desired)


def skewed(adapters: int, chance: random.Random) -> dict[Key, Asked]:
    """Requests a minute: the n-th adapter has a share of 1/n of 600, and some luck."""
    return {
        Key("ml", f"adapter-{n}"): Asked(per_minute=600 * chance.uniform(0.5, 2) / (n + 1)) for n in range(adapters)
    }


def seats(pods: int, placed: Placed) -> list[Seat]:
    """Pods that have done what they were told."""
    held = {n: frozenset(h.desired.engine_name for h in placed.get(Key("ml", f"pod-{n}"), ())) for n in range(pods)}
    return [Seat(Key("ml", f"pod-{n}"), ready=True, held=names, loaded=names) for n, names in held.items()]


def moved(before: Placed, after: Placed) -> int:
    """Copies that came to pods which are there before and after."""
    return sum(len(set(after[pod]) - set(held)) for pod, held in before.items() if pod in after)


def main() -> None:
    """Print the table of docs/design/placement.md."""
    print("| adapters, pods, slots | from nothing | again | pod more | pod fewer | demand +-30 % | 20 get hot |")
    print("|---|---|---|---|---|---|---|")
    for size in SIZES:
        print(row(*size))


def row(adapters: int, pods: int, slots: int) -> str:
    """One size."""
    chance = random.Random(1)  # noqa: S311 - a benchmark
    held, demand = [holding(n) for n in range(adapters)], skewed(adapters, chance)
    started = time.process_time()
    placed = place(seats(pods, {}), slots, held, demand)
    fresh, started = time.process_time() - started, time.process_time()
    assert place(seats(pods, placed), slots, held, demand) == placed
    again = time.process_time() - started
    noisy = {key: Asked(per_minute=asked.per_minute * chance.uniform(0.7, 1.3)) for key, asked in demand.items()}
    hot = demand | {Key("ml", f"adapter-{adapters - 1 - n}"): Asked(per_minute=600) for n in range(HOT)}
    counts = [
        moved(placed, place(seats(pods + 1, placed), slots, held, demand)),
        moved(placed, place(seats(pods - 1, placed), slots, held, demand)),
        moved(placed, place(seats(pods, placed), slots, held, noisy)),
        moved(placed, place(seats(pods, placed), slots, held, hot)),
    ]
    copies = sum(map(len, placed.values()))
    times = f"{1000 * fresh:.0f} ms | {1000 * again:.0f} ms"
    return f"| {adapters}, {pods}, {slots} | {times} | {' | '.join(f'{n} of {copies}' for n in counts)} |"


if __name__ == "__main__":
    main()
