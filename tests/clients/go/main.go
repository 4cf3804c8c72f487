// go run . URI: a query and its parameters per line of JSON in, columns and rows or the error out.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
)

type question struct {
	Query      string         `json:"query"`
	Parameters map[string]any `json:"parameters"`
}

type answer struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
	Error   string   `json:"error,omitempty"`
}

func main() {
	driver, err := neo4j.NewDriverWithContext(os.Args[1], neo4j.NoAuth())
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		decoder := json.NewDecoder(strings.NewReader(lines.Text()))
		decoder.UseNumber()
		if err := decoder.Decode(&asked); err != nil {
			panic(err)
		}
		out.Encode(run(driver, asked.Query, whole(asked.Parameters).(map[string]any)))
	}
}

func run(driver neo4j.DriverWithContext, query string, parameters map[string]any) answer {
	ctx := context.Background()
	session := driver.NewSession(ctx, neo4j.SessionConfig{})
	defer session.Close(ctx)
	result, err := session.Run(ctx, query, parameters)
	if err != nil {
		return answer{Error: text(err)}
	}
	columns, _ := result.Keys()
	given := answer{Columns: columns, Rows: [][]any{}}
	for result.Next(ctx) {
		given.Rows = append(given.Rows, result.Record().Values)
	}
	if err := result.Err(); err != nil {
		return answer{Error: text(err)}
	}
	return given
}

func text(err error) string {
	var refused *neo4j.Neo4jError
	if errors.As(err, &refused) {
		return refused.Msg
	}
	return err.Error()
}

// JSON has one kind of number; those without a fraction are integers.
func whole(value any) any {
	switch given := value.(type) {
	case map[string]any:
		for key, item := range given {
			given[key] = whole(item)
		}
	case []any:
		for index, item := range given {
			given[index] = whole(item)
		}
	case json.Number:
		if number, err := given.Int64(); err == nil {
			return number
		}
		number, _ := given.Float64()
		return number
	}
	return value
}
