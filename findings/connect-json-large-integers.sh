#!/usr/bin/env bash
# Apache Kafka Connect 4.4.0 (connect-json), on Java 17
#
# One would guess: an integer of a JSON document that does not fit into 64 bits is an error of the converter, or becomes
#   a decimal or a double.
# What happens: without a schema it is cut to its lowest 64 bits, sign and all, and goes on as a valid number. Ids that
#   other systems take for unsigned 64-bit ones come out negative, longer ones as an unrelated number.
#
# Seen:
#   9223372036854775807 -> 9223372036854775807
#   9223372036854775808 -> -9223372036854775808
#   12345678901234567890123 -> 4807115922877859019
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
import org.apache.kafka.connect.json.JsonConverter;

public class Finding {
    public static void main(String[] arguments) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "false"), false);
        String[][] cases = {
            {"9223372036854775807", "9223372036854775807"},
            {"9223372036854775808", "-9223372036854775808"},
            {"12345678901234567890123", "4807115922877859019"},
        };
        boolean same = true;
        for (String[] one : cases) {
            byte[] document = ("{\"id\": " + one[0] + "}").getBytes();
            Object id = ((Map<?, ?>) converter.toConnectData("topic", document).value()).get("id");
            System.out.println(one[0] + " -> " + id);
            same &= String.valueOf(id).equals(one[1]);
        }
        System.exit(same ? 0 : 1);
    }
}
EOF
javac -cp 'jars/*' Finding.java || exit 2
java -cp 'jars/*:.' Finding 2>/dev/null
