#!/usr/bin/env bash
# Apache Kafka Connect 4.4.0 (connect-json), on Java 17
#
# One would guess: a double that is NaN or infinite either survives the JSON converter, or is refused by it.
# What happens: it is written as the text "NaN" into a field whose schema says double, and the same converter reads that
#   text as 0.0, without an error. A measurement that was missing is a measurement of zero behind the topic.
#
# Seen:
#   NaN -> payload {"value":"NaN"} -> 0.0
#   Infinity -> payload {"value":"Infinity"} -> 0.0
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >pom.xml <<'EOF'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>findings</groupId>
  <artifactId>jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>connect-json</artifactId>
      <version>4.4.0</version>
    </dependency>
  </dependencies>
</project>
EOF
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars >&2 || exit 2

cat >Finding.java <<'EOF'
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;

public class Finding {
    public static void main(String[] arguments) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "true"), false);
        Schema schema = SchemaBuilder.struct().field("value", Schema.FLOAT64_SCHEMA).build();
        boolean same = true;
        for (double value : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            byte[] written = converter.fromConnectData("topic", schema, new Struct(schema).put("value", value));
            Object read = ((Struct) converter.toConnectData("topic", written).value()).get("value");
            String payload = new String(written).replaceAll(".*\"payload\":", "").replaceAll("}}$", "}");
            System.out.println(value + " -> payload " + payload + " -> " + read);
            same &= payload.equals("{\"value\":\"" + value + "\"}") && read.equals(0.0);
        }
        System.exit(same ? 0 : 1);
    }
}
EOF
javac -cp 'jars/*' Finding.java || exit 2
java -cp 'jars/*:.' Finding 2>/dev/null
