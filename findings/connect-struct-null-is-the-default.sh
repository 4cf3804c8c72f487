#!/usr/bin/env bash
# Apache Kafka Connect 4.4.0 (connect-json), on Java 17
#
# One would guess: an optional field that was set to null is null, for whoever reads the record: the default of its
#   schema is for a field that nobody set.
# What happens: Struct.get answers with the default wherever the value is null, and so the JSON converter writes it, into
#   a message that no longer tells. A column of a database that has a default and holds NULL arrives with the default
#   (`DEFAULT now()` as 1970, as connectors put it into the schema). `replace.null.with.default=false` keeps the null.
#
# Seen, for an optional int32 with the default 7, set to null:
#   Struct.get: 7, Struct.getWithoutDefault: null
#   payload: {"n":7}
#   payload with replace.null.with.default=false: {"n":null}
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
    private static String payload(Struct struct, String replace) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "false", "replace.null.with.default", replace), false);
        return new String(converter.fromConnectData("topic", struct.schema(), struct));
    }

    public static void main(String[] arguments) {
        Schema field = SchemaBuilder.int32().optional().defaultValue(7).build();
        Struct struct = new Struct(SchemaBuilder.struct().field("n", field).build()).put("n", null);
        Object got = struct.get("n");
        Object stored = struct.getWithoutDefault("n");
        String replaced = payload(struct, "true");
        String kept = payload(struct, "false");
        System.out.println("Struct.get: " + got + ", Struct.getWithoutDefault: " + stored);
        System.out.println("payload: " + replaced);
        System.out.println("payload with replace.null.with.default=false: " + kept);
        boolean same = Integer.valueOf(7).equals(got) && stored == null;
        System.exit(same && replaced.equals("{\"n\":7}") && kept.equals("{\"n\":null}") ? 0 : 1);
    }
}
EOF
javac -cp 'jars/*' Finding.java || exit 2
java -cp 'jars/*:.' Finding 2>/dev/null
