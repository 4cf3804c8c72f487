"""
Vertices and edges from plain text: the specification's example.

A message with one number creates a vertex, a message with two numbers an edge between two vertices that exist:

    1           CREATE (:Node {id: "1"})
    1 2         CREATE an :Edge from the vertex "1" to the vertex "2"

A message of any other shape is left out.
"""


def create_vertex(vertex_id):
    return "CREATE (:Node {id: $id})", {"id": vertex_id}


def create_edge(from_id, to_id):
    query = "MATCH (n:Node {id: $from_id}), (m:Node {id: $to_id}) CREATE (n)-[:Edge]->(m)"
    return query, {"from_id": from_id, "to_id": to_id}


def stream(batch):
    queries = []
    for message in batch:
        numbers = message.decode("utf-8").split()
        if len(numbers) == 1:
            queries.append(create_vertex(*numbers))
        elif len(numbers) == 2:
            queries.append(create_edge(*numbers))
    return queries
