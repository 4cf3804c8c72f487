#!/usr/bin/env bash
# Debezium 3.7.0.Final (debezium-connector-common), on Java 17
#
# One would guess: with the default naming each table has a topic of its own; two tables whose names differ only in
#   characters that a topic cannot have are refused, or told apart.
# What happens: each such character becomes an underscore, so both are in one topic, without an error. Their keys look
#   alike: what compacts the topic by its keys, or takes a tombstone for a row of "the" table, loses rows of the other.
#
# Seen:
#   public.order items -> shop.public.order_items
#   public.order_items -> shop.public.order_items
#   public.größe -> shop.public.gr__e
#   public.gråße -> shop.public.gr__e
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >pom.xml <<'EOP'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>findings</groupId>
  <artifactId>jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>io.debezium</groupId>
      <artifactId>debezium-connector-postgres</artifactId>
      <version>3.7.0.Final</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>connect-runtime</artifactId>
      <version>4.4.0</version>
    </dependency>
  </dependencies>
</project>
EOP
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars >&2 || exit 2

cat >Finding.java <<'EOP'
import io.debezium.relational.TableId;
import io.debezium.schema.SchemaTopicNamingStrategy;
import java.util.Properties;

public class Finding {
    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put("topic.prefix", "shop");
        SchemaTopicNamingStrategy strategy = new SchemaTopicNamingStrategy(settings);
        boolean same = true;
        String[][] pairs = {{"order items", "order_items"}, {"gr\u00f6\u00dfe", "gr\u00e5\u00dfe"}};
        for (String[] pair : pairs) {
            String[] topics = new String[2];
            for (int place = 0; place < 2; place++) {
                topics[place] = strategy.dataChangeTopic(new TableId(null, "public", pair[place]));
                System.out.println("public." + pair[place] + " -> " + topics[place]);
            }
            same &= topics[0].equals(topics[1]);
        }
        System.exit(same ? 0 : 1);
    }
}
EOP
javac -encoding UTF-8 -cp 'jars/*' Finding.java || exit 2
java -Dstdout.encoding=UTF-8 -cp 'jars/*:.' Finding 2>/dev/null
