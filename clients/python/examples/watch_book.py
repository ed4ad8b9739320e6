"""The top of a book, each time it changes: verified, and never one that cannot be trusted.

python watch_book.py [--url http://127.0.0.1:8000] [--symbol ACME-USD]
"""

import argparse

from oms_client import Client, Level


def show(level: Level | None) -> str:
    return "nobody" if level is None else f"{level.quantity} at {level.price}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--symbol", default="ACME-USD")
    options = parser.parse_args()
    with Client(options.url) as client:
        for book in client.books(options.symbol, depth=10):
            print(f"{book.sequence}: bid {show(book.best_bid)}, ask {show(book.best_ask)}", flush=True)


if __name__ == "__main__":
    main()
