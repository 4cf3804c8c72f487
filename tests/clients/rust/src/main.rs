// client bolt://HOST:PORT: a query and its parameters per line of JSON in, columns and rows or the error out.
// It knows columns of results that have rows only. neo4rs gives rows as maps, so the columns are in the order of names.
use neo4rs::{query, BoltNull, BoltType, ConfigBuilder, Error, Graph};
use serde_json::{json, Map, Value};
use std::collections::HashMap;
use std::io::BufRead;

fn bolt(value: &Value) -> BoltType {
    match value {
        Value::Null => BoltType::Null(BoltNull),
        Value::Bool(given) => (*given).into(),
        Value::Number(given) if given.is_i64() => given.as_i64().unwrap().into(),
        Value::Number(given) => given.as_f64().unwrap().into(),
        Value::String(given) => given.as_str().into(),
        Value::Array(given) => given.iter().map(bolt).collect::<Vec<BoltType>>().into(),
        Value::Object(given) => {
            let items = given.iter().map(|(key, item)| (key.clone(), bolt(item)));
            items.collect::<HashMap<String, BoltType>>().into()
        }
    }
}

async fn answer(graph: &Graph, asked: &Value) -> Result<Value, Error> {
    let mut asking = query(asked["query"].as_str().unwrap());
    for (name, value) in asked["parameters"].as_object().unwrap() {
        asking = asking.param(name.as_str(), bolt(value));
    }
    let mut stream = graph.execute(asking).await?;
    let mut columns: Vec<String> = vec![];
    let mut rows: Vec<Value> = vec![];
    while let Some(row) = stream.next().await? {
        let found: Map<String, Value> = row.to().expect("a row of plain values");
        columns = found.keys().cloned().collect();
        rows.push(found.into_iter().map(|(_, value)| value).collect());
    }
    Ok(json!({"columns": columns, "rows": rows}))
}

#[tokio::main]
async fn main() {
    let uri = std::env::args().nth(1).unwrap();
    let config = ConfigBuilder::default().uri(uri).user("").password("").db("memgraph").build().unwrap();
    let graph = Graph::connect(config).await.unwrap();
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let given = match answer(&graph, &asked).await {
            Ok(given) => given,
            Err(Error::Neo4j(refused)) => json!({"error": refused.message()}),
            Err(error) => json!({"error": error.to_string()}),
        };
        println!("{given}");
    }
}
