"""
Relationships from CSV rows: `from,to,amount`, one or more rows in a message, quoted as CSV quotes.

    ann,bob,12.50       (:Account {id: "ann"})-[:PAID {amount: 12.5}]->(:Account {id: "bob"})

Accounts are merged, payments are created: each row is one payment. Create the index that MERGE looks up, once:

    CREATE INDEX ON :Account(id);
"""

import csv

PAYMENT = """
MERGE (a:Account {id: $from})
MERGE (b:Account {id: $to})
CREATE (a)-[:PAID {amount: $amount}]->(b)
"""


def stream(batch):
    queries = []
    for message in batch:
        for sender, receiver, amount in csv.reader(message.decode("utf-8").splitlines()):
            queries.append((PAYMENT, {"from": sender, "to": receiver, "amount": float(amount)}))
    return queries
