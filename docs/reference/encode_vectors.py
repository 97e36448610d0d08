#!/usr/bin/env python3
"""Writes the golden vectors of the journal's format with nothing but Python 3.9, and compares them with vectors.json.

    python3 encode_vectors.py vectors.json

It is given values: records as JSON objects in any order and spacing, and how many of them make a batch. What it makes of
them, by journal-format.md and without any code of Cauri's, are canonical bytes, checksums, leaves, roots, peaks, the rows
of the embedded store's tables (bodies unpacked) and an export. An encoder or reader in another language can be tried in
the same way. Exit code: 0 all vectors are the same, 1 one is not, 2 bad usage.
"""
import hashlib, json, sys, zlib

BLOCK_BYTES = 65536  # A block ends with the record that brings it to so many bytes.
PEAKS_EVERY = 4096   # A batch that reaches a multiple of this position is stored with its peaks.


def canonical(value):
    """RFC 8785, as far as records need it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Tree:
    """RFC 6962: the roots of its perfect subtrees, largest first."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, leaf):
        ones, self.size = self.size, self.size + 1
        while ones & 1:
            leaf, ones = hashlib.sha256(b"\x01" + self.peaks.pop() + leaf).digest(), ones >> 1
        self.peaks.append(leaf)

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        node = self.peaks[-1]
        for left in reversed(self.peaks[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node


def leaf(record):
    return hashlib.sha256(b"\x00" + record).digest()


def checksum(record):
    return zlib.crc32(record).to_bytes(4, "big")


def blocks_of(batch):
    """The records of a batch, cut into blocks."""
    blocks, size = [[]], 0
    for record in batch:
        if size >= BLOCK_BYTES:
            blocks.append([])
            size = 0
        blocks[-1].append(record)
        size += len(record) + 1
    return blocks


def stored(first, records):
    """What a row says of its records."""
    return {
        "first": first,
        "last": first + len(records) - 1,
        "checksums": b"".join(map(checksum, records)).hex(),
        "unpacked_sha256": hashlib.sha256(b"".join(record + b"\n" for record in records)).hexdigest(),
    }


def series(given, first, count):
    """The given record at other places and times, by other commands, each in a stream of its own."""
    for n in range(count):
        metadata = dict(given["metadata"], command=f"series-{n}")
        yield dict(given, position=first + n, stream=f"entry/0190f1c2-7e4b-7000-8000-{n:012x}", version=1,
                   recorded_at=f"2026-03-16T09:00:00.{1000 * n:06}Z", metadata=metadata)


def journal(batches):
    """The rows of the tables, and the head."""
    tree, frames, blocks, first = Tree(), [], [], 1
    for batch in batches:
        for record in batch:
            tree.push(leaf(record))
        cut = blocks_of(batch)
        frame = stored(first, batch)
        if len(cut) > 1:
            frame.update(checksums="", unpacked_sha256="")
            begins = first
            for block in cut:
                blocks.append(stored(begins, block))
                begins += len(block)
        reaches_a_multiple = (first - 1) // PEAKS_EVERY != frame["last"] // PEAKS_EVERY
        frames.append(dict(frame, root=tree.root().hex(), peaks=b"".join(tree.peaks).hex() if reaches_a_multiple else None))
        first += len(batch)
    return frames, blocks, tree


def main(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    wrong, compared = [], 0

    def compare(what, ours, published):
        nonlocal compared
        compared += 1
        if ours != published:
            wrong.append(f"{what}: {ours!r} here, {published!r} in {path}")

    tree, encoded = Tree(), []
    for number, vector in enumerate(vectors["records"], 1):
        record = canonical(vector["given"])
        encoded.append(record)
        tree.push(leaf(record))
        compare(f"record {number}", record.decode(), vector["bytes"])
        compare(f"checksum of record {number}", checksum(record).hex(), vector["crc32"])
        compare(f"leaf of record {number}", leaf(record).hex(), vector["leaf"])
        compare(f"root up to record {number}", tree.root().hex(), vector["root"])
        compare(f"peaks up to record {number}", [peak.hex() for peak in tree.peaks], vector["peaks"])

    given = vectors["journal"]
    own = encoded[:given["batches"][0]]
    rest = [canonical(record) for record in series(given["series"]["given"], len(own) + 1, given["series"]["count"])]
    records, batches = own + rest, []
    for size in given["batches"]:
        begins = sum(map(len, batches))
        batches.append(records[begins:begins + size])
    frames, blocks, tree = journal(batches)
    for name, ours in (("frames", frames), ("blocks", blocks)):
        compare(f"number of {name}", len(ours), len(given[name]))
        for row, published in zip(ours, given[name]):
            compare(f"{name} from {row['first']}", row, published)

    header = canonical({"cauri_export": 2, "head": {"position": tree.size, "root": tree.root().hex()}, "journal": "ledger"})
    compare("header of the export", header.decode(), vectors["export"]["header"])
    export = b"".join(line + b"\n" for line in [header, *records])
    compare("the export", hashlib.sha256(export).hexdigest(), vectors["export"]["sha256"])

    for line in wrong:
        print("WRONG:", line)
    print(f"{compared} vectors compared: {len(encoded)} records, {len(frames)} batches, {len(blocks)} blocks, 1 export of {len(records)} records")
    print("NOT THE SAME." if wrong else "All are the same.")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
