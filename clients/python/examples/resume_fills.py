"""Every fill of the account, once, also across runs of this program: it keeps its place in a file.

    python resume_fills.py --key $KEY --place fills.json

The place is written after a fill has been dealt with. Killed between the two, the program deals with that one again; what
must not happen twice is therefore told apart by its shard and sequence.
"""

import argparse
import json
from pathlib import Path

from oms_client import Client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key", required=True)
    parser.add_argument("--place", type=Path, required=True)
    options = parser.parse_args()
    text = options.place.read_text() if options.place.exists() else '{"0": 0}'
    after = {int(shard): sequence for shard, sequence in json.loads(text).items()}
    with Client(options.url, key=options.key) as client:
        for execution in client.executions(after=after):
            if execution.is_fill:
                where = f"{execution.shard}-{execution.sequence}"
                print(
                    f"{where}: {execution.side} {execution.quantity} {execution.symbol} at {execution.price}",
                    flush=True,
                )
            after[execution.shard] = execution.sequence
            options.place.write_text(json.dumps(after))


if __name__ == "__main__":
    main()
