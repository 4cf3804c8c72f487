#!/usr/bin/env bash
# Apache Kafka Connect 4.4.0 (connect-api), on Java 17
#
# One would guess: the header converter that Connect uses where none is configured hands the bytes of a header through;
#   what comes out of a mirror or a connector is what went in.
# What happens: SimpleHeaderConverter guesses a type from the text and writes the value back from that type. Leading zeros
#   and trailing fractions are gone: a postal code, a version or an account number in a header is another text behind it.
#
# Seen:
#   00012 -> INT8 -> 12
#   1.0 -> INT8 -> 1
#   1e400 -> BYTES -> 1E+400
#   0x10 -> STRING -> 0x10
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
      <artifactId>connect-api</artifactId>
      <version>4.4.0</version>
    </dependency>
  </dependencies>
</project>
EOF
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars >&2 || exit 2

cat >Finding.java <<'EOF'
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;

public class Finding {
    public static void main(String[] arguments) {
        SimpleHeaderConverter converter = new SimpleHeaderConverter();
        String[][] cases = {
            {"00012", "INT8", "12"}, {"1.0", "INT8", "1"}, {"1e400", "BYTES", "1E+400"}, {"0x10", "STRING", "0x10"},
        };
        boolean same = true;
        for (String[] one : cases) {
            SchemaAndValue read = converter.toConnectHeader("topic", "name", one[0].getBytes());
            String type = read.schema().type().name();
            String written = new String(converter.fromConnectHeader("topic", "name", read.schema(), read.value()));
            System.out.println(one[0] + " -> " + type + " -> " + written);
            same &= type.equals(one[1]) && written.equals(one[2]);
        }
        System.exit(same ? 0 : 1);
    }
}
EOF
javac -cp 'jars/*' Finding.java || exit 2
java -cp 'jars/*:.' Finding 2>/dev/null
