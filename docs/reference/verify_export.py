#!/usr/bin/env python3
"""Checks an export of a Cauri journal with nothing but Python 3.9 and this page.

    cauri-replay export ledger.jsonl
    python3 verify_export.py ledger.jsonl --root 22:9f2c...

Checked in any journal: canonical JSON, positions, stream versions, time, the Merkle root (RFC 6962), commands. In a ledger:
double entry per currency, limits with holds, open holds. In a market: instruments, and that quotes go forward. `--root POSITION:ROOT` (repeatable) compares with roots that were noted elsewhere:
without one, a journal that was rewritten as a whole cannot be told from the original. `docs/reference/
journal-format.md` explains every field. Exit code: 0 all is well, 1 something is wrong, 2 bad usage, 3 nothing is wrong up
to a record that a newer Cauri wrote, which this page does not know.
"""
import argparse, hashlib, heapq, json, sys
from collections import defaultdict
from decimal import Decimal, Inexact, getcontext

getcontext().prec = 60
getcontext().traps[Inexact] = True  # A sum that does not fit must not be rounded.
ASSET_SIDE = {"asset", "expense"}  # Kinds whose normal side is debit.


class Tree:
    """The perfect subtrees of an RFC 6962 tree, largest first: (leaves, hash)."""

    def __init__(self):
        self.peaks = []

    def push(self, record):
        size, node = 1, hashlib.sha256(b"\x00" + record).digest()
        while self.peaks and self.peaks[-1][0] == size:
            node = hashlib.sha256(b"\x01" + self.peaks.pop()[1] + node).digest()
            size *= 2
        self.peaks.append((size, node))

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").hexdigest()
        node = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node.hex()


class Wrong(Exception):
    pass


class Newer(Exception):
    pass


ENVELOPE = 2  # The newest version of the members around `data`.
# Written from the code: the newest version of each type of event.
TYPES = {
    "account.closed": 1,
    "account.frozen": 1,
    "account.limits_changed": 1,
    "account.opened": 2,
    "account.reopened": 1,
    "account.unfrozen": 1,
    "account_set.created": 1,
    "account_set.member_added": 1,
    "account_set.member_removed": 1,
    "command.refused": 1,
    "entry.annotated": 1,
    "entry.held": 1,
    "entry.hold_expired": 1,
    "entry.hold_posted": 1,
    "entry.hold_voided": 1,
    "entry.posted": 1,
    "entry.reversed": 1,
    "instrument.registered": 1,
    "journal.closed": 1,
    "journal.rules_changed": 1,
    "market.quoted": 1,
}
# End of what is written from the code.
STREAMS = {name.split(".")[0] for name in TYPES}  # A type is named after the streams that it stands in.
MOTIONS = {"entry.posted", "entry.held", "entry.hold_posted", "entry.hold_voided", "entry.hold_expired"}


def known(record):
    """A newer program may know more: that is no fault of the journal."""
    if record.get("envelope", 1) > ENVELOPE:
        raise Newer(f"its envelope is of version {record['envelope']}")
    if record["stream"].split("/", 1)[0] not in STREAMS:
        raise Newer(f"it is of the stream {record['stream']}")
    if record["schema"] > TYPES.get(record["type"], 0):
        raise Newer(f"it is of the type {record['type']}, version {record['schema']}")


class Journal:
    """What holds for a journal of any kind. What its kind promises beyond that the kind checks."""

    def __init__(self):
        self.versions, self.last_time, self.commands, self.kind = defaultdict(int), "", set(), None

    def fold(self, record):
        stream = record["stream"]
        if record["type"].split(".")[0] != stream.split("/", 1)[0]:
            raise Wrong(f"{record['type']} does not belong into {stream}")
        self.versions[stream] += 1
        if record["version"] != self.versions[stream]:
            raise Wrong(f"{stream} is at version {self.versions[stream]}, the record says {record['version']}")
        if record["recorded_at"] < self.last_time:
            raise Wrong(f"recorded at {record['recorded_at']}, after {self.last_time}")
        self.last_time = record["recorded_at"]
        if "fingerprint" in record["metadata"]:  # The first record of a command.
            command = (record["metadata"].get("caller"), record["metadata"]["command"])  # An id counts in its caller's name.
            if command in self.commands:
                raise Wrong(f"the command {command[1]} of {command[0]} is carried out again")
            self.commands.add(command)
        kind = KINDS.get(stream.split("/", 1)[0])  # None: it happens in journals of any kind.
        self.kind = self.kind or (kind and kind())
        if kind and not isinstance(self.kind, kind):
            raise Wrong(f"{record['type']} in a journal of another kind")
        if self.kind:
            self.kind.fold(record, self.versions[stream])

    def end(self):
        return self.kind.end() if self.kind else ["holding   nothing"]


class Ledger:
    def __init__(self):
        self.accounts, self.holds, self.entries, self.expiries = {}, {}, 0, []
        self.sums = defaultdict(lambda: [Decimal(0), Decimal(0)])

    def fold(self, record, version):
        stream, kind, data = record["stream"], record["type"], record["data"]
        while kind != "entry.hold_expired" and self.expiries and self.expiries[0][0] < record["recorded_at"]:
            expires_at, entry = heapq.heappop(self.expiries)
            if entry in self.holds:
                raise Wrong(f"{entry} is still held, its hold expires at {expires_at}")
        if kind.startswith("account."):
            self.account(stream.split("/", 1)[1], kind, record["schema"], data)
        elif kind.startswith("entry."):
            self.entry(stream, kind, data, version)

    def end(self):
        for currency, (debits, credits) in self.sums.items():
            if debits != credits:
                raise Wrong(f"debits are {debits} {currency}, credits {credits}")
        lines = [f"holding   {self.entries} entries, {len(self.accounts)} accounts, {len(self.holds)} open holds"]
        return lines + [f"moved     {debits} {currency} on both sides" for currency, (debits, _) in sorted(self.sums.items())]

    def account(self, address, kind, schema, data):
        if kind == "account.opened":
            if schema == 1:  # Version 1 had plain decimals beside each other.
                data = dict(data, limits={k: {"amount": data[k]} for k in ("floor", "ceiling") if data.get(k) is not None})
            self.accounts[address] = {"currency": data["currency"], "debit": data["kind"] in ASSET_SIDE, "sums": [Decimal(0)] * 4}
        if kind in ("account.opened", "account.limits_changed"):
            bounds = [data["limits"].get(name) for name in ("floor", "ceiling")]
            self.accounts[address]["limits"] = [bound and Decimal(bound["amount"]) for bound in bounds]
            self.within(address)

    def entry(self, stream, kind, data, version):
        if kind not in MOTIONS:  # It says something of an entry, and moves nothing.
            if version == 1:
                raise Wrong(f"{kind}, but {stream} was never written")
            return
        if kind in ("entry.posted", "entry.held"):
            self.entries += 1
            if version != 1:
                raise Wrong(f"{stream} is written twice")
        transfers = [(t["debit"], t["credit"], t["amount"]["currency"], Decimal(t["amount"]["amount"])) for t in data["transfers"]]
        if kind == "entry.held":
            self.holds[stream] = transfers
            if "expires_at" in data:
                heapq.heappush(self.expiries, (data["expires_at"], stream))
            self.move(transfers, 2, 1)
        elif kind != "entry.posted":
            if stream not in self.holds:
                raise Wrong(f"{kind}, but {stream} is no open hold")
            held = self.holds.pop(stream)
            named = [t[:3] + (Decimal(d.get("held", d["amount"])["amount"]),) for t, d in zip(transfers, data["transfers"])]
            if named != held or any(t[3] > h[3] for t, h in zip(transfers, held)):
                raise Wrong(f"{stream} is resolved otherwise than it was held")
            self.move(held, 2, -1)
        if kind in ("entry.posted", "entry.hold_posted"):
            self.move(transfers, 0, 1)
        for debit, credit, _, _ in transfers:
            self.within(debit)
            self.within(credit)

    def move(self, transfers, column, sign):
        if not transfers:
            raise Wrong("an entry without transfers")
        for debit, credit, currency, amount in transfers:
            if amount < 0 or debit == credit:
                raise Wrong(f"a transfer of {amount} from {debit} to {credit}")
            for side, address in enumerate((debit, credit)):
                if self.accounts.get(address, {}).get("currency") != currency:
                    raise Wrong(f"{address} is no account in {currency}")
                self.accounts[address]["sums"][column + side] += sign * amount
                if column == 0:
                    self.sums[currency][side] += amount

    def within(self, address):
        account = self.accounts[address]
        debits, credits, held_debits, held_credits = account["sums"]
        if account["debit"]:
            balance, leaving, arriving = debits - credits, held_credits, held_debits
        else:
            balance, leaving, arriving = credits - debits, held_debits, held_credits
        floor, ceiling = account["limits"]
        if floor is not None and balance - leaving < floor:
            raise Wrong(f"{address} has {balance - leaving} available, its floor is {floor}")
        if ceiling is not None and balance + arriving > ceiling:
            raise Wrong(f"{address} has {balance + arriving} with what is held for it, its ceiling is {ceiling}")


class Market:
    def __init__(self):
        self.instruments, self.last, self.quotes = set(), {}, 0

    def fold(self, record, version):
        stream, kind, data = record["stream"], record["type"], record["data"]
        name = stream.split("/", 1)[1]
        if kind == "instrument.registered":
            if name in self.instruments:
                raise Wrong(f"{name} is registered twice")
            self.instruments.add(name)
        elif kind == "market.quoted":
            self.block(stream, name.split(":", 1)[1], data)

    def block(self, stream, symbol, data):
        numbers = data.get("sequence") or [0] * len(data["at"])
        if symbol not in self.instruments:
            raise Wrong(f"{symbol} was never registered")
        if not data["at"] or not len(data["at"]) == len(data["ask"]) == len(data["spread"]) == len(numbers):
            raise Wrong("the columns of the block do not have one length")
        at, ask = 0, 0
        for later, more, spread, number in zip(data["at"], data["ask"], data["spread"], numbers):
            at, ask = at + later, ask + more
            if stream in self.last and (at, number) <= self.last[stream]:
                raise Wrong(f"a quote of {at} with the number {number} does not come after the one before it")
            if ask <= 0 or spread < 0 or ask - spread <= 0:
                raise Wrong(f"an ask of {ask} and a spread of {spread}")
            self.last[stream] = (at, number)
            self.quotes += 1

    def end(self):
        return [f"holding   {len(self.instruments)} instruments, {len(self.last)} feeds, {self.quotes} quotes"]


# The kind of journal that a type of stream is of.
KINDS = {"account": Ledger, "account_set": Ledger, "entry": Ledger, "instrument": Market, "market": Market}


def verify(lines, noted):
    header = json.loads(next(lines, b"null"))
    if not isinstance(header, dict) or header.get("cauri_export") not in (1, 2):
        raise Wrong("line 1 is no header of an export of version 1 or 2")
    tree, journal, position = Tree(), Journal(), 0
    noted = dict(noted)
    for line in lines:
        position += 1
        try:
            text = line.rstrip(b"\n")
            record = json.loads(text)
            if json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() != text:
                raise Wrong("not canonical JSON")
            if record["position"] != position:
                raise Wrong(f"the record says that it stands at {record['position']}")
            known(record)
            tree.push(text)
            journal.fold(record)
        except Newer as error:
            raise Newer(f"position {position} (line {position + 1}): {error}")
        except Wrong as error:
            raise Wrong(f"position {position} (line {position + 1}): {error}")
        except (ValueError, KeyError, TypeError, ArithmeticError, AttributeError) as error:
            raise Wrong(f"position {position} (line {position + 1}) is no record: {error!r}")
        if position in noted and tree.root() != noted.pop(position):
            raise Wrong(f"the root up to {position} is {tree.root()}: not the one that was noted")
    if noted:
        raise Wrong(f"a root was noted at {max(noted)}, the export ends at {position}")
    head = header["head"]
    if head != {"position": position, "root": tree.root()}:
        raise Wrong(f"the header promises {head['position']}:{head['root']}, the records give {position}:{tree.root()}")
    return header["journal"], position, tree.root(), journal.end()


def main():
    arguments = argparse.ArgumentParser(description="Checks an export of a Cauri journal.")
    arguments.add_argument("export", help="the file, or - for standard input")
    arguments.add_argument("--root", action="append", default=[], metavar="POSITION:ROOT", help="a root that was noted elsewhere")
    arguments = arguments.parse_args()
    try:
        noted = [(int(position), root) for position, root in (text.split(":") for text in arguments.root)]
        lines = iter(sys.stdin.buffer if arguments.export == "-" else open(arguments.export, "rb"))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        journal, position, root, holding = verify(lines, noted)
    except Newer as error:
        print(f"NOT CHECKED TO ITS END: a newer Cauri wrote {error}")
        return 3
    except (Wrong, ValueError, KeyError) as error:
        print(f"WRONG: {error}")
        return 1
    print(f"journal   {journal}\nhead      {position}:{root}")
    print("\n".join(holding))
    print(f"noted     {len(noted)} roots compared" if noted else "noted     no root: nothing proves that this is the original")
    print("All is well.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
