// java -cp JARS Client.java URI: a query and its parameters per line of JSON in, columns and rows or the error out.
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.List;
import java.util.Map;
import org.neo4j.driver.Config;
import org.neo4j.driver.GraphDatabase;
import org.neo4j.driver.Record;
import org.neo4j.driver.Value;
import org.neo4j.driver.exceptions.Neo4jException;

public class Client {
    public static void main(String[] arguments) throws Exception {
        var json = new ObjectMapper();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        var config = Config.builder().withTelemetryDisabled(true).build();
        try (var driver = GraphDatabase.driver(arguments[0], config)) {
            for (String line; (line = lines.readLine()) != null; ) {
                Map<?, ?> asked = json.readValue(line, Map.class);
                Map<String, Object> answer;
                try (var session = driver.session()) {
                    @SuppressWarnings("unchecked")
                    var parameters = (Map<String, Object>) asked.get("parameters");
                    var result = session.run((String) asked.get("query"), parameters);
                    var columns = result.keys();
                    List<List<Object>> rows = result.list(Client::values);
                    answer = Map.of("columns", columns, "rows", rows);
                } catch (Neo4jException refused) {
                    answer = Map.of("error", refused.getMessage());
                }
                System.out.println(json.writeValueAsString(answer));
            }
        }
    }

    private static List<Object> values(Record record) {
        return record.values().stream().map(Value::asObject).toList();
    }
}
