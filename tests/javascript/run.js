// node run.js PACKAGE URI: a query and its parameters per line of JSON in, columns and rows or the error out.
// It knows columns of results that have rows only, as the driver's plain interface does.
// A build for browsers speaks Bolt over WebSocket, which Node has none of before version 22.
if (process.argv[2].endsWith('-web.js')) globalThis.WebSocket = require('ws');
const neo4j = require(process.argv[2]);
const lines = require('readline').createInterface({ input: process.stdin });
const driver = neo4j.driver(process.argv[3], undefined, { disableLosslessIntegers: true, telemetryDisabled: true });

async function answer(query, parameters) {
  const session = driver.session();
  try {
    const { records } = await session.run(query, parameters);
    const columns = records.length ? records[0].keys : [];
    return { columns, rows: records.map(record => record.keys.map(key => record.get(key))) };
  } catch (error) {
    return { error: error.message };
  } finally {
    await session.close();
  }
}

(async () => {
  for await (const line of lines) {
    const { query, parameters } = JSON.parse(line);
    console.log(JSON.stringify(await answer(query, parameters)));
  }
  await driver.close();
})();
